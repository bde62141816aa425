import type { Clock } from "#lib/clock.ts";

/** What is to be done next, and in how many milliseconds; it is due when none are left. */
export type Next = { readonly waitMs: number; readonly look: () => Promise<void> };

/** Looks that are due some time, one after the other. */
export type OneByOne = {
  /** What is next may be another now. */
  wake(): void;
  /** Resolves when no look is under way. */
  idle(): Promise<void>;
  /** Resolves after the signal. */
  ended(): Promise<void>;
};

type Options = { readonly clock: Clock; readonly spacingMs: number; readonly signal: AbortSignal };

/** Does what `next` gives once it is due, and `spacingMs` later the next; asleep while there is none. */
export function oneByOne(next: () => Next | undefined, { clock, spacingMs, signal }: Options): OneByOne {
  let woken = new AbortController();
  let looking: Promise<void> = Promise.resolve();
  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      const first = next();
      if (first !== undefined && first.waitMs <= 0) {
        looking = first.look();
        await looking;
        await clock.sleep(spacingMs, { signal });
        continue;
      }
      woken = new AbortController();
      const either = AbortSignal.any([signal, woken.signal]);
      await (first === undefined
        ? aborted(either)
        : clock.sleep(first.waitMs, { signal: either }).catch(() => undefined));
    }
  };
  const running = run().catch(() => undefined);
  return { wake: () => woken.abort(), idle: () => looking, ended: () => running };
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
