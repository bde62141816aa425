import { mkdtempDisposable, readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ContentRefused } from "#hub/git/contents.ts";
import type { GitLimits } from "#hub/git/limits.ts";
import { openMirror, type Mirror } from "#hub/git/mirror.ts";
import { revision } from "#proto/ids.ts";
import { startGitServer, type GitServer } from "#test/harness/git-server.ts";
import { forge, forgeDeltaBomb, forgeTree, type Entry } from "#test/hostile/forge.ts";

const mebibyte = 2 ** 20;

type Opened = AsyncDisposable & { readonly server: GitServer; readonly mirror: Mirror; readonly directory: string };

async function open(limits?: GitLimits): Promise<Opened> {
  await using started = new AsyncDisposableStack();
  const server = started.use(await startGitServer());
  const folder = started.use(await mkdtempDisposable(join(tmpdir(), "plumbline-hostile-")));
  const directory = join(folder.path, "hostile.git");
  const mirror = await openMirror({
    url: await server.createRepository("hostile"),
    directory,
    searchPath: process.env["PATH"] ?? "",
    allowedHosts: new Set(["127.0.0.1"]),
    prlimit: "/usr/bin/prlimit",
    ...(limits && { limits }),
  });
  const all = started.move();
  return { server, mirror, directory, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

const good: Entry = { path: "app/good.yaml", content: "kind: ConfigMap\n" };

describe("what lies under a folder is refused by its name, and the folder beside it is read", () => {
  test.each<[row: string, what: string, entry: Entry, because: string]>([
    [
      "G8",
      "a link inside the tree",
      { path: "bad/link.yaml", mode: "120000", content: "../app/good.yaml" },
      "bad/link.yaml is a symbolic link",
    ],
    [
      "G8",
      "a link out of the tree",
      { path: "bad/link.yaml", mode: "120000", content: "../../../etc/passwd" },
      "bad/link.yaml is a symbolic link",
    ],
    [
      "G8",
      "an absolute link",
      { path: "bad/link.yaml", mode: "120000", content: "/etc/passwd" },
      "bad/link.yaml is a symbolic link",
    ],
    ["G8", "a link to itself", { path: "bad/link", mode: "120000", content: "link" }, "bad/link is a symbolic link"],
    ["G7", "a submodule", { path: "bad/module", mode: "160000" }, "bad/module is a submodule"],
    ["G10", "a name that is not UTF-8", { path: "bad/\\377\\376.yaml" }, "its name is not UTF-8 text"],
    [
      "G10",
      "a name with a carriage return",
      { path: "bad/a\\r.yaml" },
      '"bad/a\\r.yaml": its name holds a control character',
    ],
    [
      "G10",
      "a name with a line feed",
      { path: "bad/a\\n.yaml" },
      '"bad/a\\n.yaml": its name holds a control character',
    ],
    [
      "G5",
      "a name of 60,000 bytes",
      { path: `bad/${"n".repeat(60_000)}` },
      'nnn…": its path is 60004 bytes long, at most 1024',
    ],
    ["G5", "folders 600 deep", { path: `bad/${"d/".repeat(600)}a.yaml` }, "its path is 1210 bytes long"],
    [
      "G5",
      "a file of 5 MB",
      { path: "bad/big.yaml", content: Buffer.alloc(5 * mebibyte, "#") },
      "bad/big.yaml is 5242880 bytes, at most 1 MiB",
    ],
  ])("%s %s", async (_row, _what, entry, because) => {
    await using opened = await open();
    const commit = revision(await forge(opened.server, "hostile", [good, entry]));
    await opened.mirror.fetch();
    const refusal = await opened.mirror.contents(commit, "bad").catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(ContentRefused);
    expect(String(refusal)).toContain(because);
    expect(String(refusal).length).toBeLessThan(400);
    expect((await opened.mirror.contents(commit, "app")).map(({ path }) => path)).toEqual(["app/good.yaml"]);
  });

  test("G5 more files, and longer lists, than are kept", async () => {
    await using opened = await open();
    const many = Array.from({ length: 20_000 }, (_, n) => ({ path: `bad/${n}.yaml` }));
    const long = Array.from({ length: 5_000 }, (_, n) => ({ path: `long/${"x".repeat(1_000)}${n}` }));
    const commit = revision(await forge(opened.server, "hostile", [good, ...many, ...long]));
    await opened.mirror.fetch();
    await expect(opened.mirror.contents(commit, "bad")).rejects.toThrow(
      "bad holds 20000 files, at most 10000 are read",
    );
    await expect(opened.mirror.contents(commit, "long")).rejects.toThrow("long holds more files, or longer names");
    expect(await opened.mirror.contents(commit, "app")).toHaveLength(1);
  });
});

test("G5 a name of a megabyte, which git's own writers refuse", async () => {
  await using opened = await open();
  await forgeTree(opened.server, "hostile", "n".repeat(mebibyte));
  await opened.mirror.fetch();
  const head = (await opened.mirror.head("main"))!;
  await expect(opened.mirror.contents(head, "")).rejects.toThrow("its path is 1048576 bytes long");
});

test("G8 links and submodules are left out of what need not be whole, each told once", async () => {
  await using opened = await open();
  const link = { path: "app/link", mode: "120000", content: "/etc/passwd" };
  const commit = revision(await forge(opened.server, "hostile", [good, link, { path: "app/m", mode: "160000" }]));
  await opened.mirror.fetch();
  const told: string[] = [];
  const read = await opened.mirror.contents(commit, "app", (because) => told.push(because));
  expect(read.map(({ path }) => path)).toEqual(["app/good.yaml"]);
  expect(told.map((line) => line.slice(0, 20))).toEqual(["app/link is a symbol", "app/m is a submodule"]);
});

test.each([
  ["..", "hasDotdot"],
  [".git", "hasDotgit"],
  ["../../etc/cron.d/x", "fullPathname"],
  [".GIT", "hasDotgit"],
  ["git~1", "hasDotgit"],
])("G8 a tree that names %j is not taken", async (name, because) => {
  await using opened = await open();
  await forgeTree(opened.server, "hostile", name);
  await expect(opened.mirror.fetch()).rejects.toThrow(because);
  expect(await opened.mirror.head("main")).toBeUndefined();
});

describe("G6 what is small on the wire and huge in memory or on disk ends at git's limits, and leaves nothing behind", () => {
  const leftOver = async (directory: string): Promise<string[]> =>
    (await readdir(join(directory, "objects", "pack"))).filter((name) => name.includes("tmp"));

  test("a delta bomb", async () => {
    await using opened = await open({ memoryBytes: 256 * mebibyte, fileBytes: 2 ** 30, cpuSeconds: 60 });
    await forgeDeltaBomb(opened.server, "hostile", 400 * mebibyte);
    await expect(opened.mirror.fetch()).rejects.toThrow("it needs more than 256 MiB of memory");
    expect(await leftOver(opened.directory)).toEqual([]);
  });
  test("a pack without end", async () => {
    await using opened = await open({ memoryBytes: 2 ** 30, fileBytes: mebibyte, cpuSeconds: 60 });
    const noise = Array.from({ length: 6 }, (_, n) => ({
      path: `n${n}`,
      content: crypto.getRandomValues(new Uint8Array(65_536)),
    }));
    for (let n = 0; n < 4; n += 1)
      await forge(
        opened.server,
        "hostile",
        noise.map(({ path, content }) => ({ path: `${n}${path}`, content: content.map((byte) => byte ^ n) })),
      );
    await expect(opened.mirror.fetch()).rejects.toThrow("it holds more than 1 MiB");
    expect(await leftOver(opened.directory)).toEqual([]);
  });
  test("a file of 64 MB, which is fetched to disk and read by nobody", async () => {
    await using opened = await open({ memoryBytes: 512 * mebibyte, fileBytes: 2 ** 30, cpuSeconds: 60 });
    const blob = await opened.server.git("hostile", ["hash-object", "-w", "--stdin"], Buffer.alloc(64 * mebibyte));
    const tree = await opened.server.git("hostile", ["mktree"], `100644 blob ${blob}\ta.yaml\n`);
    const commit = revision(await opened.server.git("hostile", ["commit-tree", "-m", "huge", tree]));
    await opened.server.git("hostile", ["update-ref", "refs/heads/main", commit]);
    await opened.mirror.fetch();
    await expect(opened.mirror.contents(commit, "")).rejects.toThrow("a.yaml is 67108864 bytes, at most 1 MiB");
  });
  test("a server that is killed in the middle of a pack", async () => {
    await using opened = await open();
    await forge(opened.server, "hostile", [{ path: "noise", content: crypto.getRandomValues(new Uint8Array(65_536)) }]);
    opened.server.failWith("slow");
    await expect(opened.mirror.fetch(AbortSignal.timeout(1_500))).rejects.toThrow("timeout");
    expect(await leftOver(opened.directory)).toEqual([]);
  });
});
