import { expect, test } from "vitest";
import { createOwnershipPace } from "./ownership-pace.ts";

test("objects whose ownership alone changed are healed at once, and an avalanche of them at five a second", () => {
  let now = 0;
  const pace = createOwnershipPace(() => now);
  let healed = 0;
  const healAll = (): void => {
    for (; pace.waitMs() === 0; healed += 1) pace.wasSilent();
  };
  healAll();
  expect(healed).toBe(20);
  expect(pace.waitMs()).toBeGreaterThanOrEqual(199);
  for (let second = 0; second < 100; second += 1) {
    now += 1_000;
    healAll();
  }
  expect(healed).toBe(20 + 500);
});

test("drift in between costs nothing of it", () => {
  const pace = createOwnershipPace(() => 0);
  for (let n = 0; n < 1_000; n += 1) expect(pace.waitMs()).toBe(0);
});
