import fc from "fast-check";
import { afterAll, beforeAll, test } from "vitest";
import { openSharedControlPlane, type SharedControlPlane } from "#test/harness/shared-control-plane.ts";
import { changed, dieAndGoOn, leaving } from "#test/kill-points/kills.ts";

const kills = 100;
/** The slice, two heads, the objects, and the deletions. */
const writes = changed + leaving + 3;

let plane: SharedControlPlane;
beforeAll(async () => {
  plane = await openSharedControlPlane();
});
afterAll(() => plane[Symbol.asyncDispose]());

test(`an agent killed at ${kills} random points of an apply goes on`, async () => {
  let n = 0;
  const point = fc.record({ write: fc.integer({ min: 1, max: writes }), moment: fc.constantFrom("before", "after") });
  // Each kill has namespaces of its own: a failure is played again by its seed, and not made smaller.
  await fc.assert(
    fc.asyncProperty(point, (at) => dieAndGoOn(plane, `long-${(n += 1)}`, at)),
    { numRuns: kills, endOnFailure: true },
  );
}, 1_800_000);
