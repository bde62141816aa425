/** What a reader gets: values in order, from one reader at a time. Ends when it is closed and empty. */
export class BoundedQueue<Value> implements AsyncIterable<Value> {
  readonly #limit: number;
  readonly #dropped: ((value: Value) => void) | undefined;
  #values: Value[] = [];
  #closed = false;
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;

  /** Past `limit` the oldest value is dropped, and `dropped` is told of it. */
  constructor(limit: number, dropped?: (value: Value) => void) {
    this.#limit = limit;
    this.#dropped = dropped;
  }

  push(value: Value): void {
    if (this.#closed) return;
    this.#values.push(value);
    if (this.#values.length > this.#limit) this.#dropped?.(this.#values.shift()!);
    this.#wake?.();
  }

  /** What is in it is still read; then the reader ends, or gets `error`. */
  close(error?: unknown): void {
    if (this.#closed) return;
    this.#closed = true;
    if (error !== undefined) this.#failure = { error };
    this.#wake?.();
  }

  get size(): number {
    return this.#values.length;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Value, void, undefined> {
    for (;;) {
      while (this.#values.length > 0) yield this.#values.shift()!;
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#closed) return;
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = undefined;
    }
  }
}
