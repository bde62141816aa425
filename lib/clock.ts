import { setTimeout as delay } from "node:timers/promises";

/** Time as a parameter: whoever waits or stamps takes one, so that a test can own it. */
export interface Clock {
  /** Milliseconds since 1970; may jump. For stamps that others read. */
  now(): number;
  /** Milliseconds since some start; never goes back. For durations. */
  monotonic(): number;
  /** Rejects with the signal's reason when it aborts first. */
  sleep(ms: number, options?: { signal?: AbortSignal | undefined }): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  async sleep(ms, { signal } = {}) {
    signal?.throwIfAborted();
    try {
      await delay(ms, undefined, signal === undefined ? {} : { signal });
    } catch (error) {
      // node:timers wraps the reason; callers compare with their own.
      signal?.throwIfAborted();
      throw error;
    }
  },
};
