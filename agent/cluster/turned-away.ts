import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";

/** How often at the most it is said: a squeezed server turns hundreds of requests away a minute. */
const sayEveryMs = 60_000;

/** Counts the requests that priority and fairness turned away (429), and says so: the first at once, more once a minute. */
export function tellTurnedAway(log: Log, clock: Clock): (waitMs: number) => void {
  let total = 0;
  let saidAt = Number.NEGATIVE_INFINITY;
  return (waitMs) => {
    total += 1;
    if (clock.monotonic() - saidAt < sayEveryMs) return;
    saidAt = clock.monotonic();
    log.warn(
      { turnedAway: total, waitMs: Math.round(waitMs) },
      "the API server turns requests away (429): they are sent again as late as it asks",
    );
  };
}
