import { keysOf, type Stage } from "#agent/apply/order.ts";
import type { Failure } from "#agent/apply/failure.ts";
import { leavingAlone } from "#agent/drift/yields.ts";
import type { Owned } from "#agent/state/head.ts";
import type { RunEntry } from "#proto/desired-state.ts";
import { describeRef, parseRefKey, refKey, refOf, type KubeObject } from "#proto/object.ts";
import { backoffMs } from "#lib/retry.ts";
import { isKnownAbsent, lookForAbsent } from "./absent.ts";
import type { Desired } from "./bundles.ts";
import { addressOfKey, record, type Context } from "./context.ts";
import { end } from "./episodes.ts";
import { exceptionFor } from "./exceptions.ts";
import type { NewKinds } from "./new-kinds.ts";
import { setOwned, track, versionOf, type ApplicationState } from "./model.ts";
import { applyServed } from "./served.ts";
import { createOnce } from "./once.ts";
import { mayRecreate, recreate } from "./recreate.ts";
import { firstContact, send, type Sent } from "./send.ts";
import { yieldablePaths, yielding } from "./yielding.ts";

/** Requests of one Application in flight; 4 to 16 measured best against one API server. */
const concurrency = 8;
/** A CRD is Established within a second; a server that needs longer is in trouble, and the apply of its objects retries. */
const establishedLimitMs = 30_000;
const passingTries = 3;
const retries = { firstMs: 200, capMs: 60_000 };

/** One reconcile's work. `fresh`: namespaces that it made itself, where nothing of others can be yet. */
export type Work = {
  readonly desired: ReadonlyMap<string, Desired>;
  readonly todo: ReadonlySet<string>;
  readonly fresh: Set<string>;
  /** Objects that were seen not to be there, and when (monotonic milliseconds), until they are first sent. */
  readonly absent: Map<string, number>;
  /** The stage for which `absent` was asked last. */
  lookedFor?: Stage;
  readonly kinds: NewKinds;
  /** It takes longer than the Application's timeout: told as failed. May be called again and again. */
  readonly late: () => Promise<void>;
};

/** Applies a stage, and waits for what must hold before the next. Gives a sentence when that is not to be begun. */
export async function applyStage(
  context: Context,
  application: ApplicationState,
  stage: Stage,
  work: Work,
  signal: AbortSignal,
): Promise<"goOn" | "refused"> {
  const { todo } = work;
  const keys = [...keysOf(stage.objects)].filter((key) => todo.has(key));
  work.kinds.expect(stage.objects.filter((object) => todo.has(refKey(refOf(object)))));
  if (work.lookedFor !== stage) await lookForAbsent(context, application, stage, work);
  await eachOf(keys, async (key) => {
    for (let attempt = 1; ; attempt += 1) {
      const failure = await applyOne(context, application, work, key, signal);
      if (failure === undefined || failure.final || attempt === passingTries) return;
      const waitMs = failure.retryAfterMs ?? backoffMs(retries, attempt);
      tellNextTry(context, application, key, waitMs);
      await context.clock.sleep(waitMs, { signal });
    }
  });
  const awaited = [...keysOf(stage.awaited)].filter((key) => todo.has(key));
  if (awaited.length === 0) return "goOn";
  await work.kinds.watch();
  if (stage.after === "waitHealthy") await retryPassing(context, application, work, signal, new Set(awaited));
  const isRefused = awaited.some((key) => application.problems.get(key)?.final === true);
  if (isRefused && stage.after === "waitHealthy") return "refused";
  await waitFor(context, application, stage, signal);
  return "goOn";
}

/**
 * Passing failures are tried again until they pass or something newer is wanted, the waits growing to a minute. What
 * lasts longer than the Application's timeout is a failed apply, though it goes on.
 */
export async function retryPassing(
  context: Context,
  application: ApplicationState,
  work: Work,
  signal: AbortSignal,
  among: ReadonlySet<string> = work.todo,
): Promise<void> {
  const started = context.clock.monotonic();
  const { reason } = application;
  for (let attempt = passingTries; ; attempt += 1) {
    const passing = [...application.problems].filter(([key, { final }]) => !final && among.has(key));
    if (passing.length === 0) {
      application.reason = reason;
      return;
    }
    application.reason = describeProblems(application);
    if (context.clock.monotonic() - started > application.head!.run!.delivery.timeoutMs) await work.late();
    const waitMs = backoffMs(retries, attempt);
    for (const [key] of passing) tellNextTry(context, application, key, waitMs);
    await context.slots.aside(() => context.clock.sleep(waitMs, { signal }));
    work.kinds.expect(passing.map(([key]) => work.desired.get(key)!.object));
    await work.kinds.watch();
    await eachOf(
      passing.map(([key]) => key),
      async (key) => void (await applyOne(context, application, work, key, signal)),
    );
  }
}

function tellNextTry(context: Context, application: ApplicationState, key: string, waitMs: number): void {
  const problem = application.problems.get(key);
  if (problem === undefined) return;
  application.problems.set(key, { ...problem, nextTryAtMs: Math.round(context.clock.now() + waitMs) });
  context.touched(application);
}

async function applyOne(
  context: Context,
  application: ApplicationState,
  work: Work,
  key: string,
  signal: AbortSignal,
): Promise<Failure | undefined> {
  signal.throwIfAborted();
  const desired = work.desired.get(key)!;
  const tracked = track(context.model, key, application.name);
  const owned = application.head!.inventory.get(key);
  const isFirst = owned === undefined || owned.uid === "";
  const namespace = desired.object.metadata.namespace ?? "";
  const run = application.head!.run!;
  const present = desired.once === true ? desired : await applicable(context, key, desired, owned, run);
  const apply = (found: (there: KubeObject) => void): Promise<KubeObject> => {
    if (desired.once === true) return createOnce(context, context.writer(run.delivery), desired);
    const isAbsent = isKnownAbsent(context, work, key) || work.fresh.has(namespace);
    if (isFirst)
      return firstContact(context, desired, run, isAbsent, (there) => {
        tracked.others = { version: versionOf(there), nextAt: 0 };
        found(there);
      });
    return applyServed(context, context.writer(run.delivery), present.object, { force: true });
  };
  const answered: Sent = await context.telemetry.traced("agent.apply.object", { attributes: { object: key } }, () =>
    send(context, tracked, present, apply),
  );
  const sent = mayRecreate(desired, answered)
    ? await recreate(context, application, tracked, present, answered)
    : answered;
  if (!sent.ok) {
    const before = application.problems.get(key);
    if (before?.message !== sent.failure.message) tellProblem(context, application, key, sent.failure);
    application.problems.set(key, sent.failure);
    context.released(tracked);
    context.touched(application);
    return sent.failure;
  }
  application.problems.delete(key);
  // Whatever it was when it was looked at, it is that no more: the same edit as before is news.
  tracked.looked = "";
  tracked.others = undefined;
  // From here on it is watched over, though the rest of its wave may take minutes.
  application.applying.delete(key);
  setOwned(context.model, application.name, key, sent.owned);
  // What differed before was written over, but for what is left to others.
  if ((present.yielded ?? []).length === 0) end(context, application, tracked);
  context.released(tracked);
  application.counts[sent.effect] += 1;
  if (desired.object.kind === "Namespace" && sent.effect === "created") work.fresh.add(desired.object.metadata.name);
  return undefined;
}

/** The desired form without what controllers and exceptions have; only where they may is the object read first. */
async function applicable(
  context: Context,
  key: string,
  desired: Desired,
  owned: Owned | undefined,
  { delivery }: RunEntry,
): Promise<Desired> {
  const excepted = (owned?.yielded ?? []).filter(
    (path) => exceptionFor(delivery, parseRefKey(key), path, context.clock.now()) !== undefined,
  );
  if (excepted.length === 0 && yieldablePaths(context, key, desired.object).length === 0) return desired;
  const live = await context.cluster.get(addressOfKey(key, owned ?? desired.object), context.signal);
  const { object, yielded = [] } = yielding(context, key, desired, live);
  if (live === undefined || excepted.length + yielded.length === 0) return desired;
  return { ...desired, object: leavingAlone(object, live, excepted), yielded: [...yielded, ...excepted] };
}

function tellProblem(context: Context, application: ApplicationState, key: string, failure: Failure): void {
  const { reason, message, final } = failure;
  record(context, application, {
    $case: "problem",
    value: { object: parseRefKey(key), reason, message, final, nextTryAtMs: 0n },
  });
  context.log.warn({ application: application.name, object: describeRef(parseRefKey(key)), reason }, "apply refused");
}

async function waitFor(
  context: Context,
  application: ApplicationState,
  stage: Stage,
  signal: AbortSignal,
): Promise<void> {
  if (stage.after === "goOn") return;
  const keys = keysOf(stage.awaited);
  if (stage.after === "waitEstablished") return void (await untilHealthy(context, keys, establishedLimitMs, signal));
  const { timeoutMs } = application.head!.run!.delivery;
  const before = application.reason;
  const isHealthy = await sayingWhat(context, application, keys, timeoutMs, signal);
  application.reason = before;
  if (isHealthy) return;
  application.reason = `the next wave was begun although ${notCurrent(context, keys) ?? "something was not healthy"} after ${timeoutMs / 1000} s`;
  context.log.warn({ application: application.name, because: application.reason }, "a wave is not healthy");
}

/** False when they are not all Current within `limitMs`. Others work meanwhile. */
export const untilHealthy = (
  context: Context,
  keys: ReadonlySet<string>,
  limitMs: number,
  signal: AbortSignal,
): Promise<boolean> => {
  const isCurrent = (key: string): boolean => context.model.tracked.get(key)?.health.state === "Current";
  return context.slots.aside(() => context.until(() => [...keys].every(isCurrent), limitMs, signal));
};

/** The same, and the Application says all the while what its next wave waits for, and until when. */
async function sayingWhat(
  context: Context,
  application: ApplicationState,
  keys: ReadonlySet<string>,
  limitMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  const untilMs = context.clock.monotonic() + limitMs;
  const until = new Date(Math.ceil(context.clock.now() + limitMs)).toISOString();
  for (;;) {
    const waits = notCurrent(context, keys);
    if (waits === undefined) return true;
    const leftMs = untilMs - context.clock.monotonic();
    if (leftMs <= 0) return false;
    application.reason = `its next wave waits until ${until} at the latest: ${waits}`;
    context.touched(application);
    await context.slots.aside(() => context.until(() => notCurrent(context, keys) !== waits, leftMs, signal));
  }
}

/** "Deployment shop/web is InProgress: ...": the first of them that is not Current. */
export function notCurrent(context: Context, keys: Iterable<string>): string | undefined {
  for (const key of keys) {
    const { state, reason } = context.model.tracked.get(key)?.health ?? { state: "Unknown", reason: "" };
    if (state !== "Current")
      return `${describeRef(parseRefKey(key))} is ${state}${reason === "" ? "" : ` (${reason})`}`;
  }
  return undefined;
}

async function eachOf(keys: readonly string[], work: (key: string) => Promise<void>): Promise<void> {
  const queue = keys.values();
  const workers = Array.from({ length: Math.min(concurrency, keys.length) }, async () => {
    for (const key of queue) await work(key);
  });
  await Promise.all(workers);
}

export const describeProblems = ({ problems }: ApplicationState): string => {
  const [first] = problems;
  if (first === undefined) return "";
  const [key, { message }] = first;
  const more = problems.size > 1 ? ` (and ${problems.size - 1} more)` : "";
  return `${describeRef(parseRefKey(key))}: ${message}${more}`;
};
