import { expect, test } from "vitest";
import { systemClock } from "./clock.ts";
import { VirtualClock } from "./virtual-clock.ts";

test("a sleep that is called off rejects with the caller's own reason", async () => {
  for (const clock of [systemClock, new VirtualClock()]) {
    const stop = new AbortController();
    const sleeping = clock.sleep(1_000_000, { signal: stop.signal });
    stop.abort(new Error("stopped"));
    await expect(sleeping).rejects.toThrow("stopped");
  }
});

test("virtual time wakes sleepers in the order of their times, also those that earlier ones start", async () => {
  const clock = new VirtualClock(0);
  const woken: string[] = [];
  const sleep = async (name: string, ms: number, then?: () => Promise<void>): Promise<void> => {
    await clock.sleep(ms);
    woken.push(`${name}@${clock.now()}`);
    await then?.();
  };
  const all = [sleep("b", 20), sleep("a", 10, () => sleep("c", 5))];
  await clock.advance(30);
  await Promise.all(all);
  expect(woken).toEqual(["a@10", "c@15", "b@20"]);
  expect([clock.now(), clock.sleeping]).toEqual([30, 0]);
});
