import { expect, test } from "vitest";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { afterBusyTime, giveBackMemory } from "./give-back.ts";

test("what waits for rest is done once, when nothing happened for that long, and again after the next work", async () => {
  const clock = new VirtualClock(0);
  const { signal } = new AbortController();
  let done = 0;
  const rest = afterBusyTime(() => (done += 1), 1_000, { clock, signal });
  rest.busy();
  await clock.advance(900);
  rest.busy();
  await clock.advance(900);
  expect(done).toBe(0);
  await clock.advance(100);
  expect(done).toBe(1);
  await clock.advance(10_000);
  expect(done).toBe(1);
  rest.busy();
  await clock.advance(1_000);
  expect(done).toBe(2);
});

test("memory of a burst of work is given back", () => {
  let burst: unknown[] | undefined = Array.from({ length: 300_000 }, (_, n) => ({ n }));
  const during = process.memoryUsage().heapTotal;
  expect(burst).toHaveLength(300_000);
  burst = undefined;
  giveBackMemory();
  expect(process.memoryUsage().heapTotal).toBeLessThan(during);
});
