import { expect, test } from "vitest";
import { atMost } from "./at-most.ts";

test("never runs more at once, in the order of the calls, and goes on after a failure", async () => {
  const limited = atMost(2);
  let running = 0;
  let most = 0;
  const begun: number[] = [];
  const work = (n: number) => async () => {
    begun.push(n);
    most = Math.max(most, (running += 1));
    await new Promise((resolve) => setImmediate(resolve));
    running -= 1;
    if (n === 1) throw new Error("failed");
    return n;
  };
  const results = await Promise.allSettled([0, 1, 2, 3, 4].map((n) => limited(work(n))));
  expect(results.map(({ status }) => status === "fulfilled")).toEqual([true, false, true, true, true]);
  expect({ most, begun }).toEqual({ most: 2, begun: [0, 1, 2, 3, 4] });
});
