const hourMs = 3_600_000;

/** At most `limit` deletions in any hour: the last guard against a mistake that every rule above let through. */
export class DeletionBreaker {
  readonly #limit: number;
  readonly #monotonic: () => number;
  #times: number[] = [];

  constructor(limit: number, monotonic: () => number) {
    this.#limit = limit;
    this.#monotonic = monotonic;
  }

  /** Takes one deletion from the hour's allowance; false when there is none left. */
  take(): boolean {
    const now = this.#monotonic();
    this.#times = this.#times.filter((at) => now - at < hourMs);
    if (this.#times.length >= this.#limit) return false;
    this.#times.push(now);
    return true;
  }

  /** How long until there is one again; 0: now. */
  roomInMs(): number {
    const [oldest] = this.#times;
    return oldest === undefined || this.#times.length < this.#limit
      ? 0
      : Math.max(0, oldest + hourMs - this.#monotonic());
  }
}
