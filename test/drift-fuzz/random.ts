/** Numbers that the seed alone decides: a run that failed is played again by it. */
export type Random = {
  /** From 0 up to and without `end`. */
  below(end: number): number;
  chance(share: number): boolean;
  pick<T>(from: readonly T[]): T;
};

export const newSeed = (): number => Math.floor(Math.random() * 0xffff_ffff);

/** `name` tells apart streams of one seed: what happens to one object must not shift what happens to another. */
export function seeded(seed: number, name: string): Random {
  let state = Buffer.from(name).reduce((sum, byte) => Math.imul(sum ^ byte, 0x0100_0193), seed ^ 0x811c_9dc5);
  // mulberry32: 32 bits of state are plenty for choosing among edits.
  const next = (): number => {
    state = (state + 0x6d2b_79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
  const below = (end: number): number => Math.floor(next() * end);
  return { below, chance: (share) => next() < share, pick: (from) => from[below(from.length)]! };
}
