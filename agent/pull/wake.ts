import { orAbort } from "#agent/pull/abort.ts";

/** A reason to look again. Any number of calls before a look make one look. For one waiter. */
export class Wake {
  #next = Promise.withResolvers<void>();

  call(): void {
    this.#next.resolve();
  }

  /** What was called until now is answered by what the caller does next. */
  clear(): void {
    this.#next = Promise.withResolvers();
  }

  /** Resolves at the next call, or at once when there was one since `clear`; rejects when `signal` aborts. */
  wait(signal: AbortSignal): Promise<void> {
    return orAbort(this.#next.promise, signal);
  }
}
