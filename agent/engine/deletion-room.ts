import type { Context } from "./context.ts";
import type { ApplicationState } from "./model.ts";

/** Deletions of an hour ago may have been spread over it: what there is room for since is done together. */
const leastWaitMs = 60_000;

/**
 * The limit of deletions stopped this Application: it is reconciled when there is room again, for nothing else would call
 * for it. Gives that time, for people.
 */
export function goOnWithRoom(context: Context, application: ApplicationState): string {
  const waitMs = Math.max(context.breaker.roomInMs(), leastWaitMs);
  context.againIn(application, waitMs);
  return new Date(Math.ceil(context.clock.now() + waitMs)).toISOString();
}
