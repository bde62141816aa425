import { expect, test } from "vitest";
import { revision } from "#proto/ids.ts";
import { keptDropped, leftBehind, withDropped, type RewriteRecord } from "./rewrites.ts";

const commit = (number: number) => revision(number.toString(16).padStart(40, "0"));
const [from, to, known, news] = [commit(1), commit(2), commit(3), commit(4)];
const record = (dropped = [known]): RewriteRecord => {
  const word = { branch: "main", from, to, dropped, by: "anna", reason: "", atMs: 1 };
  return { repository: "shop", accepted: [{ ...word, to: known }, word, { ...word, branch: "other" }] };
};

test("what a rewrite left behind and nobody knew of is added to the newest word on that branch, once", () => {
  const more = withDropped(record(), "main", [from, known, news])!;
  expect(more.accepted.map(({ dropped }) => dropped)).toEqual([[known], [known, news], [known]]);
  expect(leftBehind(more, "main")).toContain(news);
  expect(leftBehind(more, "other")).not.toContain(news);
  expect(withDropped(more, "main", [news])).toBeUndefined();
  expect(withDropped(record(), "release", [news])).toBeUndefined();
});

test("a record that is full is not written again and again", () => {
  const many = Array.from({ length: keptDropped - 1 }, (_, index) => commit(index + 100));
  const full = withDropped(record(many), "main", [known, news])!;
  expect(full.accepted[1]!.dropped).toHaveLength(keptDropped);
  expect(withDropped(full, "main", [news])).toBeUndefined();
});
