import { cpus, totalmem } from "node:os";

/** One figure of a benchmark: the median of its runs, their spread, and the goal. */
export type Figure = {
  readonly value: number;
  readonly unit: string;
  readonly min: number;
  readonly max: number;
  readonly goal: string;
  readonly ok: boolean;
};

export type BenchResult = {
  readonly bench: string;
  readonly machine: {
    readonly cores: number;
    readonly memoryGb: number;
    readonly node: string;
    readonly kubernetes: string;
  };
  readonly quick: boolean;
  readonly runs: number;
  readonly figures: Readonly<Record<string, Figure>>;
};

/** `limit`: the most that meets the goal. */
export function figure(values: readonly number[], unit: string, limit: number): Figure {
  const sorted = [...values].sort((a, b) => a - b);
  const value = quantile(sorted, 0.5);
  return {
    value: round(value),
    unit,
    min: round(sorted[0] ?? 0),
    max: round(sorted.at(-1) ?? 0),
    goal: `<= ${limit}`,
    ok: value <= limit,
  };
}

/** A count that has one right value. */
export const exactly = (value: number, unit: string, wanted: number): Figure => ({
  value,
  unit,
  min: value,
  max: value,
  goal: `= ${wanted}`,
  ok: value === wanted,
});

/** Of sorted values, the nearest rank. */
export const quantile = (sorted: readonly number[], share: number): number =>
  sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;

const round = (value: number): number => Math.round(value * 1000) / 1000;

export const machine = (kubernetes: string): BenchResult["machine"] => ({
  cores: cpus().length,
  memoryGb: Math.round(totalmem() / 1024 ** 3),
  node: process.versions.node,
  kubernetes,
});
