import { expect, test } from "vitest";
import { chooseTag } from "#hub/loop/tags.ts";
import { revision } from "#proto/ids.ts";

const at = (digit: string) => revision(digit.repeat(40));
const refs = (tags: Record<string, string>, pinned: Record<string, string> = {}) => ({
  tags: new Map(Object.entries(tags).map(([name, digit]) => [name, at(digit)])),
  pinned: new Map(Object.entries(pinned).map(([name, digit]) => [name, at(digit)])),
});

test.each([
  [">=1.2 <2", { "v1.2.0": "1", "1.10.0": "2", "v1.9.9": "3", "v2.0.0": "4", release: "5" }, "1.10.0"],
  ["1.x", { "v1.2.0": "1", "v1.3.0-rc.1": "2" }, "v1.2.0"],
  [">=1.3.0-rc.0 <2", { "v1.2.0": "1", "v1.3.0-rc.1": "2" }, "v1.3.0-rc.1"],
  ["1.x", { "v1.2.0": "1", "1.2.0": "2" }, "1.2.0"],
  ["1.x", { "v2.0.0": "1", "1.2": "2" }, undefined],
])("of tags in %s among %j it is %s", (semver, tags, chosen) => {
  expect(chooseTag({ semver }, refs(tags))?.tag).toBe(chosen);
});

test("a tag that is moved or gone stays what it named first, and stays the highest", () => {
  const pinned = { "v1.3.0": "3" };
  const moved = { tag: "v1.3.0", commit: at("3"), isPinned: true, shown: at("9") };
  expect(chooseTag({ semver: "1.x" }, refs({ "v1.2.0": "2", "v1.3.0": "9" }, pinned))).toEqual(moved);
  expect(chooseTag({ semver: "1.x" }, refs({ "v1.2.0": "2" }, pinned))).toEqual({ ...moved, shown: undefined });
  expect(chooseTag({ tag: "v1.3.0" }, refs({}, pinned))?.commit).toBe(at("3"));
  expect(chooseTag({ tag: "v1.4.0" }, refs({}, pinned))).toBeUndefined();
});
