import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { commands } from "./convergence/commands.ts";
import { World } from "./convergence/world.ts";

/**
 * Of `npm test`: some seconds, the same each time. PLUMBLINE_CONVERGENCE_RUNS asks for that many others, and
 * PLUMBLINE_CONVERGENCE_SEED for those of an earlier run again.
 */
const runs = process.env["PLUMBLINE_CONVERGENCE_RUNS"];
const seed = process.env["PLUMBLINE_CONVERGENCE_SEED"] ?? (runs === undefined ? "1" : undefined);

test("whatever happens and in whatever order, what is desired runs in the end, and nothing was deleted that no rule allows", async () => {
  await fc.assert(
    fc.asyncProperty(commands, fc.nat(), async (all, dice) => {
      // The jitter of waits too is the same each time.
      using _random = vi.spyOn(Math, "random").mockImplementation(randomFrom(dice));
      const world = await World.open();
      try {
        for (const command of all) await world.do(command);
        await world.calm();
        expect(await world.differences()).toEqual([]);
      } finally {
        await world.close();
      }
    }),
    { numRuns: Number(runs ?? 150), ...(seed === undefined ? {} : { seed: Number(seed) }) },
  );
});

/** Numbers from 0 to 1 that follow from one (mulberry32). */
function randomFrom(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
