import { keysOf, type Stage } from "#agent/apply/order.ts";
import { describeRef, parseRefKey } from "#proto/object.ts";
import type { Context } from "./context.ts";
import type { ApplicationState } from "./model.ts";

/** A CRD is Established within a second; a server that needs longer is in trouble, and the apply of its objects retries. */
const establishedLimitMs = 30_000;

/** Until what a stage made is as the next one needs it, or took too long. */
export async function waitFor(
  context: Context,
  application: ApplicationState,
  stage: Stage,
  signal: AbortSignal,
): Promise<void> {
  if (stage.after === "goOn") return;
  const keys = keysOf(stage.awaited);
  if (stage.after === "waitEstablished") return void (await untilHealthy(context, keys, establishedLimitMs, signal));
  const { timeoutMs } = application.head!.run!.delivery;
  if (await sayingWhat(context, application, "its next wave", keys, timeoutMs, signal)) return;
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

/** The same, and the Application says all the while what this waits for, and until when. */
export async function sayingWhat(
  context: Context,
  application: ApplicationState,
  what: string,
  keys: ReadonlySet<string>,
  limitMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  const untilMs = context.clock.monotonic() + limitMs;
  const until = new Date(Math.ceil(context.clock.now() + limitMs)).toISOString();
  const { reason } = application;
  for (;;) {
    const waits = notCurrent(context, keys);
    const leftMs = untilMs - context.clock.monotonic();
    if (waits === undefined || leftMs <= 0) {
      application.reason = reason;
      return waits === undefined;
    }
    application.reason = `${what} waits until ${until} at the latest: ${waits}`;
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
