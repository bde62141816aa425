import { afterAll, beforeAll, expect, test } from "vitest";
import { promoteThroughDeath } from "#test/harness/mortal-hub.ts";
import { startTrio, type Trio } from "#test/harness/trio.ts";

let trio: Trio;
beforeAll(async () => {
  trio = await startTrio();
});
afterAll(() => trio?.[Symbol.asyncDispose]());

/** What a promotion does to the world outside the hub; at each of them a hub is killed once. */
const effects = [
  "fetch fleet",
  "plb.blob",
  "plb.desired.dev-1",
  "plb.status.dev-1",
  "plb.events.receipt.dev-1",
  "push fleet",
  "pushed fleet",
  "plb.desired.staging-1",
  "plb.events.receipt.staging-1",
  "plb.desired.prod-1",
] as const;

test.each(effects)("J13 a hub killed at %s of a promotion ends in the same state as one that was not", async (effect) =>
  expect(await promoteThroughDeath(trio, `killed at ${effect}`, (seen) => seen.startsWith(effect))).toBe(true),
);
