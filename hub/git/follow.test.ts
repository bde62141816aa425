import { expect, test } from "vitest";
import { follow } from "#hub/git/follow.ts";
import { systemClock } from "#lib/clock.ts";

test("a fetch that is not done in time is told so, in words", async () => {
  const stop = new AbortController();
  const told = Promise.withResolvers<unknown>();
  const following = follow({
    mirror: {
      fetch: (signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
        }),
    },
    clock: systemClock,
    intervalMs: 60_000,
    limitMs: 20,
    signal: stop.signal,
    onMoves: () => undefined,
    onProblem: told.resolve,
  });
  expect((await told.promise) as Error).toMatchObject({ message: "it was not fetched within 0.02 s" });
  stop.abort();
  await following.ended;
});
