import { expect, test } from "vitest";
import { follow } from "#hub/git/follow.ts";
import { systemClock } from "#lib/clock.ts";

test("a fetch that is not done in time is told so, in words; the first one gets more of it", async () => {
  const stop = new AbortController();
  const told: string[] = [];
  let hangs = true;
  const following = follow({
    mirror: {
      fetch: (signal) =>
        hangs
          ? new Promise((_resolve, reject) => {
              signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
            })
          : Promise.resolve([]),
    },
    clock: systemClock,
    intervalMs: 60_000,
    limitMs: 20,
    firstLimitMs: 30,
    signal: stop.signal,
    onMoves: () => undefined,
    onProblem: (error) => told.push((error as Error).message),
  });
  await following.look();
  hangs = false;
  await following.look();
  hangs = true;
  await following.look();
  expect(told).toEqual([
    ...Array(told.length - 1).fill("it was not fetched within 0.03 s"),
    "it was not fetched within 0.02 s",
  ]);
  expect(told.length).toBeGreaterThan(1);
  stop.abort();
  await following.ended;
});
