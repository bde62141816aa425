import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openSource } from "#hub/loop/sources.ts";
import { createLog } from "#lib/log.ts";
import { startGitServer } from "#test/harness/git-server.ts";
import { sourceOptions } from "#test/harness/source-options.ts";

test("a source that is stopped asks its server nothing more, also in the middle of a look", async () => {
  await using server = await startGitServer();
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-source-"));
  const url = await server.createRepository("app");
  const head = await server.commit("app", "main", { a: "1" }, "first");
  const source = await openSource(
    { name: "app", url, remote: {}, follows: () => ["main"] },
    sourceOptions(folder.path, new AbortController().signal, { log: createLog("test", "error") }),
  );
  await source.following.look();
  expect(source.head("main")).toBe(head);
  server.failWith("hang");
  const looked = source.following.look();
  await source.stop();
  await looked;
  const asked = server.asked();
  source.following.poke();
  await source.following.ended;
  expect(server.asked()).toBe(asked);
  expect(source.head("main")).toBe(head);
});

test("two Repositories of one address are followed apart, each with what its own credentials may read", async () => {
  const [right, wrong] = ["Bearer canary-4711", "Bearer guess"];
  await using server = await startGitServer({ authorization: right });
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-source-"));
  const url = await server.createRepository("app");
  const head = await server.commit("app", "main", { a: "1" }, "first");
  const opened = (name: string, authorization: string) =>
    openSource(
      { name, url, remote: { authorization: () => Promise.resolve(authorization) }, follows: () => ["main"] },
      sourceOptions(folder.path, new AbortController().signal),
    );
  // Both at once, as the documents of a fleet are read.
  const [known, stranger] = await Promise.all([opened("known", right), opened("stranger", wrong)]);
  await Promise.all([known.following.look(), stranger.following.look()]);
  expect([known.head("main"), known.problem()]).toEqual([head, ""]);
  expect(stranger.head("main")).toBeUndefined();
  expect(stranger.problem()).not.toBe("");
  await expect(stranger.mirror.resolve(head)).resolves.toBeUndefined();
  await Promise.all([known.stop(), stranger.stop()]);
});
