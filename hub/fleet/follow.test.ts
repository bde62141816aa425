import { expect, test } from "vitest";
import { follow } from "#hub/fleet/kinds/follow.ts";
import { filesOf, written } from "#hub/fleet/fleet-fixture.ts";
import { describeProblem } from "#hub/fleet/problem.ts";
import { readFleet } from "#hub/fleet/read.ts";

const commit = "a".repeat(40);

test.each([
  ["main", "main"],
  [{ branch: "release/1" }, "release/1"],
  [{ tag: "v1.2.0" }, { tag: "v1.2.0" }],
  [{ semver: ">=1.2 <2" }, { semver: ">=1.2 <2" }],
  [{ commit }, { commit }],
])("%j is followed", (written, read) => {
  expect(follow.parse(written)).toEqual(read);
});

test.each([
  ["{tag: v1, semver: 1.x}", "must say one of branch, tag, semver or commit"],
  ["{}", "must say one of branch, tag, semver or commit"],
  ["{semver: newest}", "semver is no range of versions such as >=1.2 <2"],
  ['{semver: ""}', "semver is no range of versions such as >=1.2 <2"],
  ["{commit: abc}", "commit must be a full commit id in lower-case hex"],
  ["{tag: --upload-pack=x}", "tag is no name of a Git branch"],
  ["{latest: true}", "follow"],
  ["-x", "is no name of a Git branch"],
  ["7", "must be a branch, or one of"],
])("%s is refused, by field", (text, message) => {
  const spec = `spec:\n  clusters: {matchLabels: {}}\n  revisions: {follow: ${text}}\n`;
  const { fleet, problems } = readFleet(filesOf({ "a.yaml": written("Environment", "x", spec) }));
  expect(fleet.environments.size).toBe(0);
  expect(problems.map(describeProblem).join("\n")).toContain(message);
});
