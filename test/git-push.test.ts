import { execFileSync } from "node:child_process";
import { createHmac, generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { follow } from "#hub/git/follow.ts";
import { TooLarge } from "#hub/git/contents.ts";
import { openMirror, type Mirror } from "#hub/git/mirror.ts";
import type { RefMove } from "#hub/git/moves.ts";
import { createGitSigner, isSignedBy } from "#hub/git/sign.ts";
import { checkWebhook } from "#hub/git/webhook.ts";
import { systemClock } from "#lib/clock.ts";
import { revision } from "#proto/ids.ts";
import { startGitServer, type GitServer } from "#test/harness/git-server.ts";
import type { ObjectFormat } from "#test/harness/repositories.ts";

const searchPath = process.env["PATH"] ?? "";
const signer = createGitSigner(generateKeyPairSync("ed25519").privateKey);
let server: GitServer;
let folder: string;
let mirror: Mirror;

const change = (expect: string | undefined, files: Record<string, string | null>) => ({
  branch: "plumbline/record",
  expect: expect === undefined ? undefined : revision(expect),
  files: new Map(Object.entries(files)),
  message: "record: eu-1 joined\n\nPlumbline-Decision: 1",
});

describe.each<ObjectFormat>(["sha1", "sha256"])("in a repository of %s,", (format) => {
  beforeEach(async () => {
    server = await startGitServer();
    folder = await mkdtemp(join(tmpdir(), "plumbline-push-"));
    const url = await server.createRepository("fleet", format);
    mirror = await openMirror({
      url,
      directory: join(folder, "fleet.git"),
      searchPath,
      allowedHosts: new Set(["127.0.0.1"]),
    });
    // What an empty repository is, its server does not say.
    await server.commit("fleet", "begun", { README: "" }, "begin");
    await mirror.fetch();
  });
  afterEach(async () => {
    await server[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  test("pushes a signed commit that git itself verifies, and keeps the other files", async () => {
    const first = await mirror.commit(
      change(undefined, { "clusters/eu-1.yaml": "a: 1\n", "x/y.yaml": "b\n" }),
      signer,
      1e12,
    );
    if (first.kind !== "pushed") throw new Error(first.kind);
    const second = await mirror.commit(change(first.commit, { "x/y.yaml": null, "x/z.yaml": "c\n" }), signer, 1e12);
    if (second.kind !== "pushed") throw new Error(second.kind);
    expect(await server.git("fleet", ["ls-tree", "-r", "--name-only", second.commit])).toBe(
      "clusters/eu-1.yaml\nx/z.yaml",
    );
    const text = await server.git("fleet", ["cat-file", "commit", second.commit]);
    expect(isSignedBy(second.commit, `${text}\n`, signer.publicKey)).toBe(true);
    expect(isSignedBy(second.commit, `${text}\n`.replace("eu-1 joined", "eu-2 joined"), signer.publicKey)).toBe(false);
    const other = createGitSigner(generateKeyPairSync("ed25519").privateKey);
    expect(isSignedBy(second.commit, `${text}\n`, other.publicKey)).toBe(false);
    const allowed = join(folder, "allowed");
    await writeFile(allowed, `hub@plumbline.dev namespaces="git" ${signer.publicKey}\n`);
    const hasSshKeygen = existsInPath("ssh-keygen");
    if (hasSshKeygen)
      await server.git("fleet", [
        "-c",
        "gpg.format=ssh",
        "-c",
        `gpg.ssh.allowedSignersFile=${allowed}`,
        "verify-commit",
        second.commit,
      ]);
    expect(await mirror.log(second.commit, 5)).toMatchObject([
      { subject: "record: eu-1 joined", body: "Plumbline-Decision: 1\n" },
      {},
    ]);
  });

  test("a branch that moved meanwhile is left as it is", async () => {
    const first = await mirror.commit(change(undefined, { a: "1" }), signer, 1e12);
    if (first.kind !== "pushed") throw new Error(first.kind);
    const theirs = await server.commit("fleet", "plumbline/record", { b: "2" }, "somebody was faster");
    expect(await mirror.commit(change(first.commit, { a: "3" }), signer, 1e12)).toEqual({ kind: "moved" });
    expect(await mirror.commit(change(undefined, { a: "3" }), signer, 1e12)).toEqual({ kind: "moved" });
    expect(await server.git("fleet", ["rev-parse", "plumbline/record"])).toBe(theirs);
  });

  test("a remote that declines says why", async () => {
    await server.protect("fleet", "main is protected");
    const outcome = await mirror.commit({ ...change(undefined, { a: "1" }), branch: "main" }, signer, 1e12);
    expect(outcome).toMatchObject({
      kind: "declined",
      because: expect.stringContaining("main is protected") as string,
    });
  });

  test("reads a folder's regular files at once, byte for byte, and none that are too large", async () => {
    const commit = revision(
      await server.commit("fleet", "main", { "d/a.yaml": "ä\n", "d/b.yaml": "", "e.yaml": "no" }, "m"),
    );
    await mirror.fetch();
    expect((await mirror.contents(commit, "d")).map(({ path, bytes }) => [path, bytes.toString()])).toEqual([
      ["d/a.yaml", "ä\n"],
      ["d/b.yaml", ""],
    ]);
    const large = revision(await server.commit("fleet", "main", { "d/large.yaml": "x".repeat(1024 * 1024 + 1) }, "m"));
    await mirror.fetch();
    await expect(mirror.contents(large, "d")).rejects.toThrow(TooLarge);
    await expect(mirror.contents(large, "d")).rejects.toThrow("d/large.yaml is 1048577 bytes");
  });

  test("following looks at once when poked, goes on after failures, and ends when told to", async () => {
    const stop = new AbortController();
    const moves: RefMove[] = [];
    const problems: unknown[] = [];
    const following = follow({
      mirror,
      clock: systemClock,
      intervalMs: 3_600_000,
      onMoves: (found) => moves.push(...found),
      onProblem: (error) => problems.push(error),
      signal: stop.signal,
    });
    await following.look();
    const commit = await server.commit("fleet", "main", { a: "1" }, "first");
    await following.look();
    expect(moves).toEqual([{ kind: "new", branch: "main", to: commit }]);
    server.failWith("cut");
    await following.look();
    expect(problems).toHaveLength(1);
    server.failWith("none");
    await server.commit("fleet", "main", { a: "2" }, "second");
    await following.look();
    expect(moves).toHaveLength(2);
    stop.abort();
    await following.ended;
  });
});

test("a webhook is believed only under the right signature, and names its repository", () => {
  const body = Buffer.from(JSON.stringify({ repository: { clone_url: "https://forge.example/fleet.git" } }));
  const sign = (secret: string) => `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
  const check = (signature: string | undefined) =>
    checkWebhook(new Headers(signature === undefined ? {} : { "x-hub-signature-256": signature }), body, "hush", 0);
  expect(check(sign("hush"))).toEqual({ ok: true, urls: ["https://forge.example/fleet.git"] });
  for (const bad of [undefined, sign("other"), "sha256=", "sha256=zz"]) expect(check(bad).ok).toBe(false);
});

function existsInPath(program: string): boolean {
  try {
    execFileSync("sh", ["-c", `command -v ${program}`], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
