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
