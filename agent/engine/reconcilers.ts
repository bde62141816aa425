import type { Clock } from "#lib/clock.ts";
import { KeyedWorker } from "#lib/keyed-worker.ts";
import { reasonOf } from "#lib/log.ts";
import { backoffMs } from "#lib/retry.ts";
import type { ApplicationName } from "#proto/ids.ts";
import { saveHead, type Context } from "./context.ts";
import { applicationOf, settle, type ApplicationState, type Model } from "./model.ts";
import { reconcile } from "./reconcile.ts";

/** Reconciled at once, with those that wait for a hook, a wave or a retry: they cost next to nothing. */
const waitingAtOnce = 10_000;
const retries = { firstMs: 1_000, capMs: 60_000 };

/** Brings each Application to what is wanted of it, one run of it at a time, and again after what failed. */
export type Reconcilers = {
  add(name: ApplicationName): void;
  /** Once more after so long. One such call is pending an Application: the newest replaces the one before. */
  addIn(name: ApplicationName, ms: number): void;
  readonly isIdle: boolean;
  idle(): Promise<void>;
  close(): Promise<void>;
};

export function createReconcilers(context: Context): Reconcilers {
  const { clock, log, model, signal } = context;
  const failures = new Map<ApplicationName, number>();

  const worker = new KeyedWorker<ApplicationName>(async (name) => {
    const application = applicationOf(model, name);
    application.nextTryAtMs = 0;
    try {
      await context.slots.within(() => reconcile(context, application));
      if (application.isUnsaved && application.head !== undefined) {
        application.isUnsaved = false;
        await saveHead(context, application, application.head);
      }
      failures.delete(name);
      // An object that moved away is forgotten by its former owner once the new one has it.
      for (const other of waitingForMoves(model, name)) worker.add(other);
    } catch (error) {
      if (signal.aborted) return;
      const attempt = (failures.get(name) ?? 0) + 1;
      failures.set(name, attempt);
      log.warn({ application: name, because: reasonOf(error) }, "apply stopped; it is tried again");
      const waitMs = backoffMs(retries, attempt);
      tellNextTry(application, Math.round(clock.now() + waitMs));
      settle(context, application, "Failed", reasonOf(error));
      clock.sleep(waitMs, { signal }).then(
        () => worker.add(name),
        () => undefined,
      );
    }
  }, waitingAtOnce);
  const addLater = later(clock, signal, (name) => worker.add(name));
  return {
    add: (name) => worker.add(name),
    addIn: (name, ms) => {
      applicationOf(model, name).nextTryAtMs = Math.round(clock.now() + ms);
      addLater(name, ms);
    },
    get isIdle() {
      return worker.isIdle;
    },
    idle: () => worker.idle(),
    close: () => worker.close(),
  };
}

function later(clock: Clock, life: AbortSignal, add: (name: ApplicationName) => void): Reconcilers["addIn"] {
  const pending = new Map<ApplicationName, AbortController>();
  return (name, ms) => {
    pending.get(name)?.abort(new Error("it is called at another time"));
    const call = new AbortController();
    pending.set(name, call);
    clock.sleep(ms, { signal: AbortSignal.any([life, call.signal]) }).then(
      () => {
        pending.delete(name);
        add(name);
      },
      () => undefined,
    );
  };
}

/** For the whole, and for each object that stopped it in passing. */
function tellNextTry(application: ApplicationState, atMs: number): void {
  application.nextTryAtMs = atMs;
  for (const [key, problem] of application.problems)
    if (!problem.final) application.problems.set(key, { ...problem, nextTryAtMs: atMs });
}

/** Applications whose objects that one took over from them. */
function waitingForMoves(model: Model, name: ApplicationName): ApplicationName[] {
  const mine = model.applications.get(name)?.head?.inventory;
  if (mine === undefined) return [];
  return [...model.applications.values()]
    .filter((other) => other.name !== name && other.bundle !== undefined && other.head?.complete === true)
    .filter(({ head, bundle }) => [...head!.inventory.keys()].some((key) => mine.has(key) && !bundle!.keys.has(key)))
    .map((other) => other.name);
}
