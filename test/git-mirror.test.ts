import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { AddressRefused, checkAddress, redact } from "#hub/git/address.ts";
import { GitFailed } from "#hub/git/command.ts";
import { openMirror } from "#hub/git/mirror.ts";
import { revision } from "#proto/ids.ts";
import { startGitServer, type GitServer } from "#test/harness/git-server.ts";

const searchPath = process.env["PATH"] ?? "";
const allowedHosts = new Set(["127.0.0.1"]);

async function mirrorOf(server: GitServer, folder: string, authorization?: string) {
  const url = await server.createRepository("fleet");
  const credentials = authorization === undefined ? {} : { authorization: () => Promise.resolve(authorization) };
  return openMirror({ url, directory: join(folder, "fleet.git"), searchPath, allowedHosts, ...credentials });
}

test("follows a branch forward, and reads its files at a commit without a working tree", async () => {
  await using server = await startGitServer();
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-mirror-"));
  const mirror = await mirrorOf(server, folder.path);
  const first = await server.commit("fleet", "main", { "fleet/a.yaml": "a: 1\n", "other/x": "x" }, "first");
  expect(await mirror.fetch()).toEqual([{ kind: "new", branch: "main", to: first }]);
  expect(await mirror.fetch()).toEqual([]);
  const second = await server.commit(
    "fleet",
    "main",
    { "fleet/a.yaml": "a: 2\n", "fleet/ü b.yaml": "b: 1\n" },
    "second",
  );
  expect(await mirror.fetch()).toEqual([{ kind: "forward", branch: "main", from: first, to: second }]);
  expect(await mirror.head("main")).toBe(second);

  const files = await mirror.files(revision(second), "fleet");
  expect(files.map(({ path, mode, bytes }) => `${mode} ${bytes} ${path}`)).toEqual([
    "100644 5 fleet/a.yaml",
    "100644 5 fleet/ü b.yaml",
  ]);
  expect((await mirror.read(files[0]!)).toString()).toBe("a: 2\n");
  const [old] = await mirror.files(revision(first), "fleet");
  expect((await mirror.read(old!)).toString()).toBe("a: 1\n");
});

test("tells a branch that went back from one that was rewritten, and one that is gone", async () => {
  await using server = await startGitServer();
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-mirror-"));
  const mirror = await mirrorOf(server, folder.path);
  const first = await server.commit("fleet", "main", { a: "1" }, "first");
  const second = await server.commit("fleet", "main", { a: "2" }, "second");
  await mirror.fetch();
  await server.git("fleet", ["update-ref", "refs/heads/main", first]);
  expect(await mirror.fetch()).toEqual([{ kind: "behind", branch: "main", from: second, to: first }]);
  const other = await server.commit("fleet", "main", { a: "3" }, "other");
  const rewritten = [{ kind: "rewritten", branch: "main", from: second, to: other }];
  expect(await mirror.fetch()).toEqual(rewritten);
  expect(await mirror.fetch()).toEqual(rewritten);
  await server.git("fleet", ["update-ref", "-d", "refs/heads/main"]);
  expect(await mirror.fetch()).toEqual([{ kind: "deleted", branch: "main", from: second }]);
  await server.git("fleet", ["update-ref", "refs/heads/main", second]);
  expect(await mirror.fetch()).toEqual([]);
});

test("a rewritten branch is still one after a restart, and its last good head is what was taken before", async () => {
  await using server = await startGitServer();
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-mirror-"));
  const url = await server.createRepository("fleet");
  const settings = { url, directory: join(folder.path, "fleet.git"), searchPath, allowedHosts };
  const first = await server.commit("fleet", "main", { a: "1" }, "first");
  const good = await server.commit("fleet", "main", { a: "2" }, "good");
  const before = await openMirror(settings);
  await before.fetch();
  await server.git("fleet", ["update-ref", "refs/heads/main", first]);
  const bad = await server.commit("fleet", "main", { a: "evil" }, "rewritten");
  await before.fetch();

  const after = await openMirror(settings);
  expect(await after.taken()).toEqual(new Map([["main", good]]));
  expect(await after.fetch()).toEqual([{ kind: "rewritten", branch: "main", from: good, to: bad }]);
  expect(await after.taken()).toEqual(new Map([["main", good]]));
});

test("a branch that makes way for one below its name stops no fetch", async () => {
  await using server = await startGitServer();
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-mirror-"));
  const mirror = await mirrorOf(server, folder.path);
  const old = await server.commit("fleet", "release", { a: "1" }, "old");
  await mirror.fetch();
  await server.git("fleet", ["update-ref", "-d", "refs/heads/release"]);
  const next = await server.commit("fleet", "release/2", { a: "2" }, "next");
  await server.commit("fleet", "長".repeat(60), { a: "3" }, "too long to be followed");
  expect(await mirror.fetch()).toEqual([
    { kind: "deleted", branch: "release", from: old },
    { kind: "new", branch: "release/2", to: next },
  ]);
});

test("a history that older tools wrote badly is fetched and read; one that may mislead git is not", async () => {
  await using server = await startGitServer();
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-mirror-"));
  const url = await server.createRepository("old");
  const commit = async (...objects: readonly [type: string, content: string | Buffer][]): Promise<string> => {
    let id = "";
    for (const [type, content] of objects) {
      const filled = typeof content === "string" ? content.replace("TREE", id) : content;
      id = await server.git("old", ["hash-object", "-t", type, "-w", "--stdin", "--literally"], filled);
    }
    await server.git("old", ["update-ref", "refs/heads/main", id]);
    return id;
  };
  const blob = Buffer.from(await server.git("old", ["hash-object", "-w", "--stdin"], "a: 1\n"), "hex");
  const inner = await server.git(
    "old",
    ["hash-object", "-t", "tree", "-w", "--stdin", "--literally"],
    Buffer.concat([Buffer.from("100644 a.yaml\0"), blob]),
  );
  const padded = Buffer.concat([Buffer.from("040000 deploy\0"), Buffer.from(inner, "hex")]);
  const people = (author: string): string =>
    `tree TREE\nauthor ${author}\ncommitter dev1 <dev1@example.com> 1200000000 +0000\n\nold\n`;
  const mirror = await openMirror({
    url,
    directory: join(folder.path, "old.git"),
    searchPath,
    allowedHosts,
  });
  for (const author of [
    "dev1 <dev1@example.com> 1200000000 +051800",
    "dev1<dev1@example.com>1200000000 +0000",
    "<> 01200000000 +0000",
  ]) {
    const old = await commit(["tree", padded], ["commit", people(author)]);
    await server.git("old", ["update-ref", "refs/heads/other", old]);
    await mirror.fetch();
    expect(await mirror.head("main")).toBe(old);
    expect((await mirror.contents(revision(old), "deploy")).map(({ path }) => path)).toEqual(["deploy/a.yaml"]);
    expect(await mirror.log(revision(old), 1)).toMatchObject([{ subject: "old" }]);
  }
  const modules = Buffer.from(
    await server.git("old", ["hash-object", "-w", "--stdin"], '[submodule "x"]\n\tpath = x\n\turl = -uext::sh\n'),
    "hex",
  );
  await commit(
    ["tree", Buffer.concat([Buffer.from("100644 .gitmodules\0"), modules])],
    ["commit", people("dev1 <d@e.f> 1 +0000")],
  );
  await expect(mirror.fetch()).rejects.toThrow("gitmodulesUrl");
});

test("shows its credential to the server and to nobody else", async () => {
  const canary = `Basic ${Buffer.from("hub:canary-4711").toString("base64")}`;
  await using server = await startGitServer({ authorization: canary });
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-mirror-"));
  const mirror = await mirrorOf(server, folder.path, canary);
  const head = await server.commit("fleet", "main", { a: "1" }, "first");
  expect(await mirror.fetch()).toEqual([{ kind: "new", branch: "main", to: head }]);
  server.failWith("401");
  const error = (await mirror.fetch().catch((cause: unknown) => cause)) as Error;
  expect(error).toBeInstanceOf(GitFailed);
  expect(`${error.message}${error.stack}`).not.toMatch(/canary|aHVi/);
  expect(await mirror.head("main")).toBe(head);
});

test("keeps what it has when the server cuts or hangs, and stops waiting when told to", async () => {
  await using server = await startGitServer();
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-mirror-"));
  const mirror = await mirrorOf(server, folder.path);
  const head = await server.commit("fleet", "main", { a: "1" }, "first");
  await mirror.fetch();
  server.failWith("cut");
  await expect(mirror.fetch()).rejects.toThrow(GitFailed);
  server.failWith("hang");
  await expect(mirror.fetch(AbortSignal.timeout(200))).rejects.toThrow("timeout");
  server.failWith("none");
  expect(await mirror.fetch()).toEqual([]);
  expect(await mirror.head("main")).toBe(head);
});

describe("refuses an address", () => {
  test.each([
    ["file:///etc", "only https:// and ssh://"],
    ["ext::sh -c id", "only https:// and ssh://"],
    ["-oProxyCommand=id", "only https:// and ssh://"],
    ["http://git.example/x", "only https:// and ssh://"],
    ["https://169.254.169.254/latest", "internal host"],
    ["https://localhost/x", "internal host"],
    ["https://[::ffff:10.0.0.1]/x", "internal host"],
    ["https://10.1.2.3/x", "--allow-repository-host 10.1.2.3"],
    ["https://localhost./x", "internal host"],
    ["ssh://git@LOCALHOST/x", "internal host"],
    ["ssh://git@%6cocalhost/x", "internal host"],
    ["ssh://git@127.1/x", "--allow-repository-host 127.0.0.1"],
    ["ssh://git@0x7f000001:2222/x", "--allow-repository-host 127.0.0.1"],
    ["ssh://git@[::1]/x", "internal host"],
    ["ssh://git@-oProxyCommand=id/x", "names no host"],
    ["ssh://git@%2DoProxyCommand=id/x", "names no host"],
    ["ssh://-oProxyCommand=id@git.example/x", "names no host"],
    ["ssh://%2Dv@git.example/x", "names no host"],
    ["ssh://git@%zz/x", "names no host"],
    ["ssh:///x", "names no host"],
    ["https://user:canary@git.example/x", "credentials do not belong in an address"],
  ])("%s", (address, message) => {
    const check = () => checkAddress(address, new Set());
    expect(check).toThrow(AddressRefused);
    expect(check).toThrow(message);
    expect(check).not.toThrow(/canary/);
  });

  test("over ssh that names no key and no host key", async () => {
    const settings = {
      url: "ssh://git@git.example/team/fleet",
      directory: "/nonexistent",
      searchPath,
      allowedHosts: new Set<string>(),
    };
    await expect(openMirror(settings)).rejects.toThrow("ssh needs a private key and pinned host keys");
  });

  test("but not of a public forge, over https or ssh", () => {
    for (const address of ["https://git.example/team/fleet.git", "ssh://git@git.example:2222/team/fleet"])
      expect(checkAddress(address, new Set()).hostname).toBe("git.example");
  });
});

test("takes credentials out of what git says", () => {
  expect(redact("fatal: https://u:canary@git.example/x: not found")).toBe("fatal: https://git.example/x: not found");
});
