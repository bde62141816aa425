import type { Clock } from "./clock.ts";

type Sleeper = { readonly at: number; readonly wake: () => void };

/** A clock that moves only when told. `advance` wakes sleepers in the order of their times. */
export class VirtualClock implements Clock {
  #now: number;
  #sleepers: Sleeper[] = [];
  readonly #start: number;
  readonly #turns: number;

  /** `turns` of the event loop pass before time moves on: more than one where something takes several to be heard of. */
  constructor(startMs = 1_800_000_000_000, turns = 1) {
    this.#now = startMs;
    this.#start = startMs;
    this.#turns = turns;
  }

  now(): number {
    // Whole, as the system's is; sleeps may end between.
    return Math.floor(this.#now);
  }

  monotonic(): number {
    return this.#now - this.#start;
  }

  sleep(ms: number, { signal }: { signal?: AbortSignal | undefined } = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error);
      const forget = (): void => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
      };
      const abort = (): void => {
        forget();
        reject(signal!.reason as Error);
      };
      const sleeper = {
        at: this.#now + ms,
        wake: () => {
          signal?.removeEventListener("abort", abort);
          forget();
          resolve();
        },
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#sleepers.push(sleeper);
    });
  }

  /** Moves on by `ms`, and lets everything that a woken sleeper starts run before the next one wakes. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle(this.#turns);
    for (;;) {
      const next = this.#sleepers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#now = Math.max(this.#now, next.at);
      next.wake();
      await settle(this.#turns);
    }
    this.#now = end;
    await settle(this.#turns);
  }

  get sleeping(): number {
    return this.#sleepers.length;
  }
}

// A turn of the event loop runs every promise that is ready, however deep.
async function settle(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
