import { expect, test } from "vitest";
import type { RolloutRecord } from "#hub/decide/record.ts";
import { createPending, type PendingRecords } from "#hub/loop/pending-records.ts";
import { applicationName, environmentName, revision } from "#proto/ids.ts";

const r1 = revision("1".repeat(40));
const r2 = revision("2".repeat(40));
const recordOf = (application: string, ...completed: RolloutRecord["completed"]): RolloutRecord => ({
  environment: environmentName("dev"),
  application: applicationName(application),
  qualified: [],
  completed,
});
const named = (records: readonly RolloutRecord[]): string[] => records.map(({ application }) => application);

function atTime(): { pending: PendingRecords; pass: (ms: number) => void } {
  let nowMs = 0;
  return { pending: createPending({ monotonic: () => nowMs }), pass: (ms) => void (nowMs += ms) };
}

test("what is noted counts at once, in the place of what is written", () => {
  const { pending } = atTime();
  const written = { rollouts: [recordOf("web", r1), recordOf("api", r1)] };
  expect(pending.over(written)).toBe(written);
  pending.note([recordOf("web", r1, r2), recordOf("new", r2)], 1_000);
  expect(pending.over(written).rollouts).toEqual([recordOf("web", r1, r2), recordOf("api", r1), recordOf("new", r2)]);
  expect(pending.over(written)).toBe(pending.over(written));
});

test("what may wait is written when its time has come, or sooner with its Application", () => {
  const { pending, pass } = atTime();
  pending.note([recordOf("web", r1), recordOf("api", r1)], 1_000);
  pending.note([recordOf("urgent", r1)], 0);
  expect(named(pending.due())).toEqual(["urgent"]);
  expect(named(pending.due(new Set([applicationName("api")])))).toEqual(["api"]);
  pass(600);
  pending.note([recordOf("web", r1, r2)], 1_000);
  pass(400);
  expect(pending.due()).toContainEqual(recordOf("web", r1, r2));
});

test("what was noted while an older record of it was written is still to be written", () => {
  const { pending } = atTime();
  pending.note([recordOf("web", r1)], 0);
  const saved = pending.due();
  pending.note([recordOf("web", r1, r2)], 0);
  pending.written(saved);
  expect(pending.due()).toEqual([recordOf("web", r1, r2)]);
  pending.written(pending.due());
  expect(pending.due()).toEqual([]);
});
