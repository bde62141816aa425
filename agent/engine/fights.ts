import type { Tracked } from "./model.ts";

const windowMs = 120_000;
const healsInWindow = 3;
/** Heals that are kept of one object, to tell by; a fight goes on for days. */
const keptHeals = 20;
const firstBackoffMs = 2_000;
const longestBackoffMs = 300_000;

/** In place of fields, where the object itself was gone. */
export const wholeObject = "";

/** One heal: when, by the monotonic clock, and of which fields. */
export type Heal = { readonly at: number; readonly fields: readonly string[] };

/**
 * Counts a heal. Gives what somebody keeps changing back, in words, or undefined when nobody does. A quiet time longer
 * than the last back-off forgets the fight.
 */
export function foughtOver(tracked: Tracked, monotonicMs: number, fields: readonly string[]): string | undefined {
  if (tracked.heals.length > 0 && quietLeftMs(tracked, monotonicMs) < 0) {
    tracked.heals = [];
    tracked.backoffStep = 0;
    tracked.healed = 0;
  }
  const isContested = tracked.backoffStep > 0;
  const before = tracked.heals.filter(({ at }) => isContested || monotonicMs - at < windowMs);
  tracked.heals = [...before, { at: monotonicMs, fields }].slice(-keptHeals);
  tracked.healed = isContested ? tracked.healed + 1 : tracked.heals.length;
  const times = (field: string): number => tracked.heals.filter((heal) => heal.fields.includes(field)).length;
  const field = fields.find((field) => times(field) >= healsInWindow);
  if (field === undefined && !isContested) return undefined;
  const name = field ?? fields[0]!;
  return name === wholeObject
    ? `it was made again ${tracked.healed} times`
    : `${name} was healed ${tracked.healed} times`;
}

/** How long nobody must change it any more before its fight is over; negative when that time has passed. */
export function quietLeftMs({ heals, backoffStep }: Tracked, monotonicMs: number): number {
  const quietMs = Math.max(windowMs, backoffOf(backoffStep) * 2);
  return (heals.at(-1)?.at ?? Number.NEGATIVE_INFINITY) + quietMs - monotonicMs;
}

/** No heal for a while: 2 s, doubling to 5 minutes. */
export function backOff(tracked: Tracked, monotonicMs: number): void {
  tracked.backoffStep += 1;
  tracked.notBefore = monotonicMs + backoffOf(tracked.backoffStep);
}

const backoffOf = (step: number): number =>
  step === 0 ? 0 : Math.min(longestBackoffMs, firstBackoffMs * 2 ** Math.min(step - 1, 16));
