/** Heals in a row that proved to be of ownership alone, before the next ones are spread out. */
const burst = 20;
/** An upgrade of a cluster can change who owns what on every object of a kind: so many are put right a second. */
const aSecond = 5;

/**
 * How soon an object whose ownership alone seems to differ is healed. Only its heal tells whether it was drift: as long as
 * it is, nothing waits.
 */
export type OwnershipPace = {
  /** Milliseconds until the next may be healed; 0: now. */
  waitMs(): number;
  /** One was healed, and no value had differed. */
  wasSilent(): void;
};

export function createOwnershipPace(monotonic: () => number): OwnershipPace {
  let left = burst;
  let at = monotonic();
  const refill = (): void => {
    const now = monotonic();
    left = Math.min(burst, left + ((now - at) / 1_000) * aSecond);
    at = now;
  };
  return {
    waitMs() {
      refill();
      // Whoever waits comes back at a time of its own: all at once would be the same avalanche later.
      return left >= 1 ? 0 : ((1 - left) / aSecond) * 1_000 * (1 + Math.random() * burst);
    },
    wasSilent() {
      refill();
      left -= 1;
    },
  };
}
