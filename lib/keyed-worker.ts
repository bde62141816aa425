/**
 * Reconciles by key: at most one run of a key at a time; a key asked for while it runs is run once more afterwards,
 * however often it was asked for. At most `concurrency` keys run at once. `work` must not reject: it owns its failures.
 */
export class KeyedWorker<Key extends string> {
  readonly #work: (key: Key) => Promise<void>;
  readonly #concurrency: number;
  readonly #waiting = new Set<Key>();
  readonly #running = new Map<Key, Promise<void>>();
  #idle: (() => void)[] = [];
  #closed = false;

  constructor(work: (key: Key) => Promise<void>, concurrency: number) {
    this.#work = work;
    this.#concurrency = concurrency;
  }

  /** Asks for a run of `key`; the newest state is read when it begins. */
  add(key: Key): void {
    if (this.#closed) return;
    this.#waiting.add(key);
    this.#startMore();
  }

  get isIdle(): boolean {
    return this.#waiting.size === 0 && this.#running.size === 0;
  }

  /** Resolves when nothing runs and nothing waits. */
  async idle(): Promise<void> {
    if (this.isIdle) return;
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Starts nothing more, and resolves when what runs has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#waiting.clear();
    await Promise.all(this.#running.values());
  }

  #startMore(): void {
    for (const key of this.#waiting) {
      if (this.#running.size >= this.#concurrency) break;
      if (this.#running.has(key)) continue;
      this.#waiting.delete(key);
      this.#running.set(
        key,
        this.#work(key).finally(() => {
          this.#running.delete(key);
          this.#startMore();
        }),
      );
    }
    if (!this.isIdle) return;
    const waiters = this.#idle;
    this.#idle = [];
    for (const resolve of waiters) resolve();
  }
}
