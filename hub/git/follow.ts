import type { RefMove } from "#hub/git/moves.ts";
import type { Clock } from "#lib/clock.ts";
import { backoffMs } from "#lib/retry.ts";

export type FollowOptions = {
  readonly mirror: { fetch(signal: AbortSignal, isHinted: boolean): Promise<readonly RefMove[]> };
  readonly clock: Clock;
  /** Time between two looks, varied by a fifth so that many repositories do not ask at once. */
  readonly intervalMs: number;
  /** A fetch that takes longer is given up and tried again; the first one, which brings everything, gets more time. */
  readonly limitMs?: number;
  readonly firstLimitMs?: number;
  readonly onMoves: (moves: readonly RefMove[]) => void;
  readonly onProblem: (error: unknown, attempt: number) => void;
  readonly signal: AbortSignal;
};

export type Following = {
  /** Somebody says that there is something new: look now. */
  poke(): void;
  /** Resolves after a look that began after this call, whatever it found. */
  look(): Promise<void>;
  readonly ended: Promise<void>;
};

const fetchLimitMs = 120_000;
/** A clone of a gigabyte over a slow line; git cannot go on where it was cut off. What says nothing meanwhile is cut off by git itself. */
const firstFetchLimitMs = 1_200_000;
const retries = { firstMs: 1_000, capMs: 300_000 };

/** Looks at one repository again and again: by the clock, and at once when poked. One fetch at a time. */
export function follow(options: FollowOptions): Following {
  const { mirror, clock, intervalMs, signal } = options;
  let wake = (): void => undefined;
  let asked = true;
  let waiting: (() => void)[] = [];
  let limitMs = options.firstLimitMs ?? firstFetchLimitMs;

  const run = async (): Promise<void> => {
    for (let failures = 0; !signal.aborted;) {
      const isHinted = asked;
      asked = false;
      const served = waiting;
      waiting = [];
      const late = AbortSignal.timeout(limitMs);
      try {
        const moves = await mirror.fetch(AbortSignal.any([signal, late]), isHinted);
        failures = 0;
        limitMs = options.limitMs ?? fetchLimitMs;
        if (moves.length > 0) options.onMoves(moves);
      } catch (error) {
        failures += 1;
        // That something was aborted says nothing to people.
        const problem = late.aborted
          ? new Error(`it was not fetched within ${limitMs / 1000} s`, { cause: error })
          : error;
        if (!signal.aborted) options.onProblem(problem, failures);
      } finally {
        for (const resolve of served) resolve();
      }
      if (asked || signal.aborted) continue;
      const woken = new AbortController();
      wake = () => woken.abort();
      const jittered = intervalMs * (0.9 + Math.random() * 0.2);
      const waitMs = failures === 0 ? jittered : backoffMs(retries, failures);
      await clock.sleep(waitMs, { signal: AbortSignal.any([signal, woken.signal]) }).catch(() => undefined);
    }
    for (const resolve of waiting) resolve();
  };
  const poke = (): void => {
    asked = true;
    wake();
  };
  return {
    poke,
    look: () =>
      new Promise((resolve) => {
        waiting.push(resolve);
        poke();
      }),
    ended: run(),
  };
}
