import { expect, test } from "vitest";
import { createDeliveries } from "#hub/git/deliveries.ts";

const delivery = (id: string, header = "x-github-delivery") => new Headers({ [header]: id });

test("an event that comes again is told from a new one, by repository, and one without an id is always new", () => {
  const isHeard = createDeliveries();
  expect(isHeard("shop", delivery("a"))).toBe(false);
  expect(isHeard("shop", delivery("a"))).toBe(true);
  expect(isHeard("web", delivery("a"))).toBe(false);
  expect(isHeard("shop", delivery("b", "webhook-id"))).toBe(false);
  expect(isHeard("shop", delivery("b", "webhook-id"))).toBe(true);
  for (let n = 0; n < 2; n += 1) expect(isHeard("shop", new Headers())).toBe(false);
});

test("no more than the last thousand are remembered, and no long ones", () => {
  const isHeard = createDeliveries();
  for (let n = 0; n <= 1_000; n += 1) expect(isHeard("shop", delivery(`n${n}`))).toBe(false);
  expect(isHeard("shop", delivery("n1000"))).toBe(true);
  expect(isHeard("shop", delivery("n0"))).toBe(false);
  for (let n = 0; n < 2; n += 1) expect(isHeard("shop", delivery("x".repeat(201)))).toBe(false);
});
