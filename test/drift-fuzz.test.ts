import { afterAll, beforeAll, expect, test } from "vitest";
import { realBackend, type Backend } from "#test/drift-cases/backend.ts";
import { disagreementsOf } from "#test/drift-fuzz/judge.ts";
import { fuzz } from "#test/drift-fuzz/fuzz.ts";
import type { Step } from "#test/drift-fuzz/round.ts";
import { ruleFor } from "#test/drift-fuzz/rules.ts";
import { tell } from "#test/drift-fuzz/told.ts";
import { DriftState } from "#proto/gen/plumbline/agent/v1/agent.ts";

const seed = 1;
const edits = 240;

let backend: Backend;
beforeAll(async () => {
  backend = await realBackend();
});
afterAll(() => backend[Symbol.asyncDispose]());

const isFoundOut = (step: Step): boolean =>
  disagreementsOf(step).some((disagreement) => ruleFor(disagreement, step) === undefined);

test("random edits: the agent says and does what a dry-run apply says, but for what a rule of the drift table explains", async () => {
  const failures: string[] = [];
  const steps: Step[] = [];
  const result = await fuzz(backend, {
    edits,
    seed,
    unexplained: (step, disagreements) => void failures.push(tell(seed, step, disagreements)),
    looked: (step) => void steps.push(step),
  });
  expect(failures.join("\n")).toBe("");
  expect(result.edits).toBeGreaterThanOrEqual(edits);
  expect(result.kinds).toBeGreaterThanOrEqual(30);
  expect(result.drifts).toBeGreaterThan(edits / 10);

  // An agent that said less, wrote less, or said and wrote more would be found out.
  const plain = steps.filter(
    ({ edits, passing, asked }) => edits.length === 1 && passing.length === 0 && asked[0]?.kind === "answered",
  );
  const told = plain.filter(({ drifts }) => drifts[0]?.state === DriftState.HEALED);
  const silent = plain.filter(({ drifts }) => drifts.length === 0);
  const hidden = (changed: (step: Step) => Step, of: readonly Step[]): string[] =>
    of
      .map(changed)
      .filter((step) => !isFoundOut(step))
      .map(({ key }) => key);
  expect(hidden((step) => ({ ...step, drifts: [] }), told)).toEqual([]);
  expect(hidden((step) => ({ ...step, writes: 0 }), told)).toEqual([]);
  expect(hidden((step) => ({ ...step, drifts: told[0]!.drifts, writes: 1 }), silent)).toEqual([]);
});
