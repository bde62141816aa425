import { keysOf, type Stage } from "#agent/apply/order.ts";
import { backoffMs } from "#lib/retry.ts";
import { describeRef, parseRefKey, refKey, refOf } from "#proto/object.ts";
import { lookForAbsent } from "./absent.ts";
import { applyOne } from "./apply-object.ts";
import type { Context } from "./context.ts";
import type { ApplicationState } from "./model.ts";
import { waitFor } from "./wave-waits.ts";
import type { Work } from "./work.ts";

/** Requests of one Application in flight; 4 to 16 measured best against one API server. */
const concurrency = 8;
const passingTries = 3;
/** Also when a server asks for a longer wait: one request a minute is no load, and an hour would be an outage. */
const retries = { firstMs: 200, capMs: 60_000 };

/** Applies a stage, and waits for what must hold before the next: `refused` when that is not to be begun. */
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
      const waitMs = Math.min(failure.retryAfterMs ?? backoffMs(retries, attempt), retries.capMs);
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
