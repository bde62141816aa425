import { isDeepStrictEqual } from "node:util";
import type { Counts } from "./backend.ts";
import type { Observed, World } from "./world.ts";

/** One row of the case table. Several may carry one number: each says one thing of it. */
export type DriftCase = {
  readonly number: number;
  readonly name: string;
  /** Only a real API server does this. */
  readonly isRealOnly?: boolean;
  readonly expected: {
    readonly reported: readonly string[];
    /** Everything is again as it was before; what the case leaves on purpose is not. */
    readonly restored: boolean;
    /** Undefined where others' timing decides how often a passing refusal is met. */
    readonly writes: Counts | undefined;
  };
  /** Deploys, meddles, and gives what was observed; throws when something else is not as it should be. */
  run(world: World): Promise<Observed>;
};

/** Undefined when the case is as expected; else what is not. */
export function complaintOf({ expected }: DriftCase, observed: Observed): string | undefined {
  const seen = { reported: observed.reported, restored: observed.restored, writes: expected.writes && observed.writes };
  if (observed.loops) return `the agent does not come to rest: ${JSON.stringify(observed)}`;
  if (isDeepStrictEqual(seen, { ...expected })) return undefined;
  return `expected ${JSON.stringify(expected)}, was ${JSON.stringify(seen)}`;
}

/** Nothing to report, nothing to write. */
export const silence = { reported: [], restored: true, writes: {} } as const;
