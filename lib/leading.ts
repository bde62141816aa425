import type { Clock } from "#lib/clock.ts";

/**
 * Calls `work` at the first of many calls, and once more, `everyMs` later, for all that came meanwhile: a thousand at once
 * are two.
 */
export function leading(work: () => void, everyMs: number, clock: Clock, signal: AbortSignal): () => void {
  let resting = false;
  let again = false;
  const rest = async (): Promise<void> => {
    do {
      again = false;
      work();
      await clock.sleep(everyMs, { signal });
    } while (again);
    resting = false;
  };
  return () => {
    again = true;
    if (resting) return;
    resting = true;
    rest().catch(() => undefined);
  };
}
