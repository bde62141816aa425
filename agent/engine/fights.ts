import type { Tracked } from "./model.ts";

const windowMs = 120_000;
const healsInWindow = 3;
const firstBackoffMs = 2_000;
const longestBackoffMs = 300_000;

/** Counts a heal; true when somebody keeps changing it back. A quiet time longer than the last back-off forgets the fight. */
export function isFought(tracked: Tracked, monotonicMs: number): boolean {
  const quietMs = Math.max(windowMs, backoffOf(tracked.backoffStep) * 2);
  if (tracked.heals.length > 0 && monotonicMs - tracked.heals.at(-1)! > quietMs) {
    tracked.heals = [];
    tracked.backoffStep = 0;
  }
  const isContested = tracked.backoffStep > 0;
  const before = tracked.heals.filter((at) => isContested || monotonicMs - at < windowMs);
  tracked.heals = [...before.slice(-healsInWindow + 1), monotonicMs];
  return isContested || tracked.heals.length >= healsInWindow;
}

/** No heal for a while: 2 s, doubling to 5 minutes. */
export function backOff(tracked: Tracked, monotonicMs: number): void {
  tracked.backoffStep += 1;
  tracked.notBefore = monotonicMs + backoffOf(tracked.backoffStep);
}

const backoffOf = (step: number): number =>
  step === 0 ? 0 : Math.min(longestBackoffMs, firstBackoffMs * 2 ** Math.min(step - 1, 16));
