import { expect, test } from "vitest";
import { figure, quantile } from "./figures.ts";

test("a figure is the median of its runs, with their spread, held against its goal", () => {
  expect(figure([3, 1, 2], "ms", 2)).toEqual({ value: 2, unit: "ms", min: 1, max: 3, goal: "<= 2", ok: true });
  expect(figure([3, 1, 2], "ms", 1.9).ok).toBe(false);
});

test("quantiles take the nearest rank", () => {
  const values = Array.from({ length: 100 }, (_, n) => n + 1);
  expect([quantile(values, 0.5), quantile(values, 0.99), quantile([7], 0.99), quantile([], 0.5)]).toEqual([
    50, 99, 7, 0,
  ]);
});
