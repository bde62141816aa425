import { afterAll, beforeAll, test } from "vitest";
import { openSharedControlPlane, type SharedControlPlane } from "#test/harness/shared-control-plane.ts";
import { changed, dieAndGoOn, leaving, type KillPoint } from "#test/kill-points/kills.ts";

let plane: SharedControlPlane;
beforeAll(async () => {
  plane = await openSharedControlPlane();
});
afterAll(() => plane[Symbol.asyncDispose]());

/** The bundle's slice, the head with its intent, the objects, the deletions, the head with their results. */
const firstObject = 3;
const firstDeletion = firstObject + changed;
const result = firstDeletion + leaving;
const points: readonly (KillPoint & { readonly where: string })[] = [
  { where: "before anything is written", write: 1, moment: "before" },
  { where: "with the bundle kept, and no intent", write: 1, moment: "after" },
  { where: "before the intent is kept", write: 2, moment: "before" },
  { where: "with the intent kept, and nothing applied", write: 2, moment: "after" },
  { where: "before the first object", write: firstObject, moment: "before" },
  { where: "with the first object applied and its answer lost", write: firstObject, moment: "after" },
  { where: "among objects that change", write: firstObject + 50, moment: "after" },
  { where: "among objects that are new", write: firstObject + 200, moment: "before" },
  { where: "with every object applied, and nothing deleted", write: firstDeletion, moment: "before" },
  { where: "among objects that are deleted", write: firstDeletion + 2, moment: "after" },
  { where: "with all of it done, and no result", write: result, moment: "before" },
  { where: "with the result kept, and its answer lost", write: result, moment: "after" },
];

test.each(points.map((point, n) => ({ ...point, n })))("an agent killed $where goes on", ({ n, ...point }) =>
  dieAndGoOn(plane, String(n), point),
);
