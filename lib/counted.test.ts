import { expect, test } from "vitest";
import { counted } from "#lib/counted.ts";

test("one is one, and none are many", () => {
  expect([0, 1, 2].map((n) => counted(n, "cluster"))).toEqual(["0 clusters", "1 cluster", "2 clusters"]);
});
