import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cases } from "#test/corpus-run/cases.ts";
import { openCorpusStage, type CorpusStage } from "#test/corpus-run/play.ts";

let stage: CorpusStage;
beforeAll(async () => {
  stage = await openCorpusStage();
});
afterAll(async () => await stage?.[Symbol.asyncDispose]());

describe.each(cases)("$name", (one) => {
  test("comes out byte for byte as the plain tool gives it, is applied, costs no second write, and is removed", async () => {
    const row = await stage.play(one);
    expect(row.digest).toBe(row.toolDigest);
    expect(row.isApplied).toBe(true);
    expect(row.firstWrites).toBeGreaterThanOrEqual(row.objects);
    expect(row.secondWrites).toBe(0);
    expect(row.wrongAfterRemoval).toEqual([]);
  }, 240_000);
});
