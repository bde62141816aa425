import { mkdtempDisposable, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Follow } from "#hub/decide/inputs.ts";
import { openSource, type Source } from "#hub/loop/sources.ts";
import { isAlarm, rewoundAlarmMs } from "#hub/loop/stops.ts";
import { revision, type Revision } from "#proto/ids.ts";
import { startGitServer, type GitServer } from "#test/harness/git-server.ts";
import { sourceOptions } from "#test/harness/source-options.ts";

let server: GitServer;
let folder: Awaited<ReturnType<typeof mkdtempDisposable>>;
let url: string;
let stop: AbortController;
let follows: Follow[];
const running: Source[] = [];
beforeEach(async () => {
  server = await startGitServer();
  folder = await mkdtempDisposable(join(tmpdir(), "plumbline-rewrites-"));
  url = await server.createRepository("shop");
  stop = new AbortController();
  follows = ["main"];
});
afterEach(async () => {
  stop.abort();
  await Promise.all(running.splice(0).map((source) => source.following.ended));
  await server[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

async function open(): Promise<Source> {
  const source = await openSource(
    { name: "shop", url, remote: {}, follows: () => follows },
    sourceOptions(folder.path, stop.signal),
  );
  running.push(source);
  await source.following.look();
  return source;
}
const commit = async (text: string, branch = "main"): Promise<Revision> =>
  revision(await server.commit("shop", branch, { a: text }, text));
const point = (ref: string, at: string): Promise<string> => server.git("shop", ["update-ref", ref, at]);
const said = (source: Source, follow: Follow = "main"): string => {
  const at = source.at(follow);
  return typeof at === "object" ? at.because : (at ?? "unknown");
};

test("a rewritten branch is stopped at its last good head, goes on once accepted, and keeps what it left", async () => {
  const first = await commit("1");
  const good = await commit("2");
  const source = await open();
  expect(source.at("main")).toBe(good);
  await point("refs/heads/main", first);
  const other = await commit("3");
  await source.following.look();
  expect(source.head("main")).toBe(good);
  expect(said(source)).toBe(
    `HistoryRewritten: branch main of shop is at ${other.slice(0, 7)}, which does not follow from ${good.slice(0, 7)}: ` +
      `${good.slice(0, 7)} is kept until plumb accept-rewrite shop main`,
  );
  await source.accept("main");
  expect(source.at("main")).toBe(other);
  expect(source.stops()).toEqual([]);
  await source.mirror.fetch();
  expect((await source.mirror.files(good, "")).map(({ path }) => path)).toEqual(["a"]);
  const next = await commit("4");
  await source.following.look();
  expect(source.at("main")).toBe(next);
});

test("a branch that is behind is stopped at once, told to everybody after ten minutes, and good again by itself", async () => {
  const first = await commit("1");
  const good = await commit("2");
  const source = await open();
  await point("refs/heads/main", first);
  await source.following.look();
  expect(said(source)).toMatch(/^Rewound: branch main of shop is at .* or until it is pushed again$/);
  const [rewound] = source.stops();
  expect(isAlarm(rewound!, rewound!.sinceMs + rewoundAlarmMs - 1)).toBe(false);
  expect(isAlarm(rewound!, rewound!.sinceMs + rewoundAlarmMs)).toBe(true);
  await point("refs/heads/main", good);
  await source.following.look();
  expect(source.at("main")).toBe(good);
});

test("a branch that is gone is kept, and nothing accepts that", async () => {
  const good = await commit("1");
  const source = await open();
  await server.git("shop", ["update-ref", "-d", "refs/heads/main"]);
  await source.following.look();
  expect(said(source)).toBe(
    `Deleted: branch main of shop is gone: ${good.slice(0, 7)} is kept until it is pushed again`,
  );
  await source.accept("main");
  expect(said(source)).toContain("Deleted");
  expect(source.head("main")).toBe(good);
});

test("what was accepted is taken by a hub that starts afterwards, and not by one word for another history", async () => {
  const first = await commit("1");
  const good = await commit("2");
  await open();
  await point("refs/heads/main", first);
  const other = await commit("3");
  const word = { branch: "main", from: good, to: other, dropped: [], by: "anna", reason: "", atMs: 1 };
  const later = await open();
  await later.acceptRecorded(() => ({ ...word, from: first }));
  await later.acceptRecorded(() => ({ ...word, to: good }));
  expect(said(later)).toContain("HistoryRewritten");
  // It has moved on since.
  const next = await commit("4");
  await later.following.look();
  await later.acceptRecorded(() => word);
  expect(later.at("main")).toBe(next);
});

test("branches that nobody follows may be rewritten at will", async () => {
  const base = await commit("1");
  await commit("2", "topic");
  const source = await open();
  await point("refs/heads/topic", base);
  await commit("3", "topic");
  await commit("2");
  await source.following.look();
  expect(source.stops()).toEqual([]);
  expect((await source.mirror.taken()).has("topic")).toBe(false);
});

test("a tag is pinned: moved, it is stopped at what it named first; the highest of a range goes on with each release", async () => {
  const one = await commit("1");
  await point("refs/tags/v1.0.0", one);
  await server.git("shop", ["tag", "-a", "v1.1.0", "-m", "annotated", one]);
  const range = { semver: "1.x" };
  follows = [range, { tag: "v1.0.0" }];
  const source = await open();
  expect([source.at(range), source.at({ tag: "v1.0.0" })]).toEqual([one, one]);
  const two = await commit("2");
  await point("refs/tags/v1.2.0", two);
  await source.following.look();
  expect(source.at(range)).toBe(two);
  await point("refs/tags/v1.2.0", one);
  await source.following.look();
  expect(said(source, range)).toMatch(
    /^TagMoved: tag v1.2.0 of shop names .* plumb accept-rewrite shop refs\/tags\/v1.2.0$/,
  );
  expect(source.at({ tag: "v1.0.0" })).toBe(one);
  const again = await open();
  expect(said(again, range)).toContain("TagMoved");
  await again.accept("refs/tags/v1.2.0");
  expect(again.at(range)).toBe(one);
  await server.git("shop", ["update-ref", "-d", "refs/tags/v1.2.0"]);
  await again.following.look();
  expect(said(again, range)).toMatch(/^Deleted: tag v1.2.0/);
  const three = await commit("3");
  await point("refs/tags/v1.3.0", three);
  await again.following.look();
  expect(again.at(range)).toBe(three);
  expect(again.stops()).toEqual([]);
});

test("an exact commit is followed, also one that no branch holds any more", async () => {
  const one = await commit("1");
  const two = await commit("2");
  await point("refs/heads/main", one);
  follows = ["main", { commit: two }];
  const source = await open();
  expect(source.at({ commit: two })).toBe(two);
  const stranger = { commit: revision("1".repeat(40)) };
  follows = [stranger];
  await source.following.look();
  expect(source.at(stranger)).toBeUndefined();
});

test("a mirror that was lost knows that it was", async () => {
  await commit("1");
  const source = await open();
  expect(source.mirror.isYoung()).toBe(true);
  await source.mirror.trust();
  expect((await open()).mirror.isYoung()).toBe(false);
  await rm(folder.path, { recursive: true });
  expect((await open()).mirror.isYoung()).toBe(true);
});

test("a repository of SHA-256 is followed like any other", async () => {
  await rm(join(folder.path), { recursive: true, force: true });
  const url = await server.createRepository("wide", "sha256");
  const made = await server.commit("wide", "main", { a: "1" }, "first");
  expect(made).toHaveLength(64);
  const source = await openSource(
    { name: "wide", url, remote: {}, follows: () => ["main"] },
    sourceOptions(folder.path, stop.signal),
  );
  running.push(source);
  await source.following.look();
  expect(source.problem()).toBe("");
  expect(source.head("main")).toBe(made);
});
