import { expect, test } from "vitest";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { leading } from "./leading.ts";

test("the first call is answered at once, and all that follow it in that time by one more", async () => {
  const clock = new VirtualClock(0);
  let done = 0;
  const call = leading(() => (done += 1), 250, clock, new AbortController().signal);
  call();
  expect(done).toBe(1);
  for (let n = 0; n < 1_000; n += 1) call();
  expect(done).toBe(1);
  await clock.advance(250);
  expect(done).toBe(2);
  await clock.advance(10_000);
  expect(done).toBe(2);
  call();
  expect(done).toBe(3);
});
