import { mkdtempDisposable, readdir, utimes } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { git } from "#hub/git/command.ts";
import { openMirror } from "#hub/git/mirror.ts";
import { revision } from "#proto/ids.ts";
import { startGitServer } from "#test/harness/git-server.ts";

const searchPath = process.env["PATH"] ?? "";

test("what nobody needs goes, what is in use stays, whatever became of its branch; and a mirror of many fetches is one pack", async () => {
  await using server = await startGitServer();
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-tidy-"));
  const directory = join(folder.path, "shop.git");
  const mirror = await openMirror({
    url: await server.createRepository("shop"),
    directory,
    searchPath,
    allowedHosts: new Set(["127.0.0.1"]),
    wants: () => ({ branches: new Set(["main"]), tags: false, commits: new Set() }),
  });
  const commit = async (text: string, branch = "main") =>
    revision(await server.commit("shop", branch, { [`${text}.yaml`]: text }, text));
  const base = await commit("base");
  await server.git("shop", ["branch", "hotfix", "main"]);
  const [promoted, forgotten] = [await commit("promoted", "hotfix"), await commit("forgotten", "hotfix")];
  await mirror.fetch();
  for (let n = 0; n < 5; n += 1) {
    await commit(`n${n}`);
    await mirror.fetch();
  }
  const left = await commit("left");
  await mirror.fetch();
  // The hotfix's branch is gone, and main is rewritten and accepted.
  await server.git("shop", ["update-ref", "-d", "refs/heads/hotfix"]);
  await server.git("shop", ["update-ref", "refs/heads/main", base]);
  const next = await commit("next");
  await mirror.fetch();
  await mirror.take("main", next);

  const isHere = async (name: string): Promise<boolean> => (await mirror.resolve(name)) === name;
  await age(directory);
  await mirror.tidy([promoted, base, revision("1".repeat(40))]);
  expect(await Promise.all([base, promoted, next].map(isHere))).toEqual([true, true, true]);
  expect(await Promise.all([forgotten, left].map(isHere))).toEqual([false, false]);
  const seen = await git({ directory, searchPath }, ["for-each-ref", "--format=%(refname)", "refs/plumbline/seen"]);
  expect(seen.toString().trim()).toBe(`refs/plumbline/seen/${promoted}`);
  expect((await mirror.contents(promoted, "")).map(({ path }) => path)).toContain("promoted.yaml");
  const packs = (await readdir(join(directory, "objects", "pack"))).filter((name) => name.endsWith(".pack"));
  expect(packs).toHaveLength(1);
  await mirror.tidy([]);
  expect(await mirror.fetch()).toEqual([]);
});

/** Makes every object older than what may still be in somebody's hands. */
async function age(directory: string): Promise<void> {
  const old = new Date(Date.now() - 7 * 86_400_000);
  const files = await readdir(join(directory, "objects"), { recursive: true, withFileTypes: true });
  for (const file of files) if (file.isFile()) await utimes(join(file.parentPath, file.name), old, old);
}
