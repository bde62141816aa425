import { afterAll, beforeAll, expect, test } from "vitest";
import { promoteEverywhere, promoteThroughDeath } from "#test/harness/mortal-hub.ts";
import { startTrio, type Trio } from "#test/harness/trio.ts";

let trio: Trio;
beforeAll(async () => {
  trio = await startTrio();
});
afterAll(() => trio?.[Symbol.asyncDispose]());

test("J13 a hub killed at any effect of a promotion ends in the same state as one that was not", async () => {
  await promoteEverywhere(trio, "whole", () => undefined);
  const effects: string[] = [];
  // Of a promotion like those that follow: the first one also makes what they only change.
  await promoteEverywhere(trio, "counted", (effect) => void effects.push(effect));
  expect(effects.length).toBeGreaterThan(10);
  let kills = 0;
  for (const [at, effect] of effects.entries()) {
    let n = 0;
    // Two runs do not do everything in one order: it is the n-th of its own kind that is waited for.
    const nth = effects.slice(0, at + 1).filter((other) => other === effect).length;
    const isIt = (seen: string): boolean => seen === effect && (n += 1) === nth;
    if (await promoteThroughDeath(trio, `killed at ${at} ${effect}`, isIt)) kills += 1;
  }
  // A hub that looks at Git once less than the counted one did is not killed at that look.
  expect(kills).toBeGreaterThan(effects.length * 0.8);
});
