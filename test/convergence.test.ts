import fc from "fast-check";
import { expect, test } from "vitest";
import { commands } from "./convergence/commands.ts";
import { World } from "./convergence/world.ts";

/** Of `npm test`, some seconds; PLUMBLINE_CONVERGENCE_RUNS asks for more, and _SEED for the same ones again. */
const runs = Number(process.env["PLUMBLINE_CONVERGENCE_RUNS"] ?? 300);
const seed = process.env["PLUMBLINE_CONVERGENCE_SEED"];

test("whatever happens and in whatever order, what is desired runs in the end, and nothing was deleted that no rule allows", async () => {
  await fc.assert(
    fc.asyncProperty(commands, async (all) => {
      const world = await World.open();
      try {
        for (const command of all) await world.do(command);
        await world.calm();
        expect(await world.differences()).toEqual([]);
      } finally {
        await world.close();
      }
    }),
    { numRuns: runs, ...(seed === undefined ? {} : { seed: Number(seed) }) },
  );
});
