import { execFile } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdirSync } from "node:fs";
import { mkdir, mkdtempDisposable, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { AddressRefused } from "#hub/git/address.ts";
import { AccessRefused, GitFailed } from "#hub/git/command.ts";
import { openMirror, type Mirror } from "#hub/git/mirror.ts";
import { createGitSigner } from "#hub/git/sign.ts";
import { revision } from "#proto/ids.ts";
import { createSshKey, startGitSshServer, type GitSshServer } from "#test/harness/git-ssh-server.ts";

const signer = createGitSigner(generateKeyPairSync("ed25519").privateKey);

/** A mirror of a repository that this server just made, in a folder whose name ssh would take apart. */
async function mirrorOf(
  server: GitSshServer,
  folder: string,
  access: { key?: string; hosts?: readonly string[] } = {},
) {
  const url = await server.createRepository("fleet");
  const directory = join(folder, 'data "%d" ${HOME} it\'s', "fleet.git");
  mkdirSync(join(directory, ".."), { recursive: true });
  const ssh = {
    privateKey: async () => access.key ?? server.clientKey,
    hostKeys: async () => access.hosts ?? [server.knownHost],
  };
  const allowedHosts = new Set(["127.0.0.1"]);
  const mirror = await openMirror({ url, directory, allowedHosts, searchPath: process.env["PATH"] ?? "", ssh });
  return { mirror, url, directory };
}

const failureOf = async (mirror: Mirror): Promise<Error> => {
  const failure = await mirror.fetch().catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(Error);
  return failure as Error;
};
const change = (expect: string | undefined, text: string) => ({
  branch: "main",
  expect: expect === undefined ? undefined : revision(expect),
  files: new Map([["a.yaml", text]]),
  message: "record: one",
});

test("fetches and pushes with a lease over ssh, and leaves no key behind", async () => {
  await using server = await startGitSshServer();
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-mirror-"));
  const { mirror, directory } = await mirrorOf(server, folder.path);
  const first = await server.commit("fleet", "main", { "a.yaml": "a: 1\n" }, "first");
  expect(await mirror.fetch()).toEqual([{ kind: "new", branch: "main", to: first }]);
  const pushed = await mirror.commit(change(first, "a: 2\n"), signer, 1e12);
  expect(pushed).toEqual({ kind: "pushed", commit: await server.git("fleet", ["rev-parse", "main"]) });
  expect(await mirror.commit(change(first, "a: 3\n"), signer, 1e12)).toEqual({ kind: "moved" });
  await server.protect("fleet", "main is protected");
  const head = await server.git("fleet", ["rev-parse", "main"]);
  const declined = await mirror.commit(change(head, "a: 4\n"), signer, 1e12);
  expect(declined).toMatchObject({ kind: "declined", because: expect.stringContaining("main is protected") as string });
  expect(server.requests().map(({ service }) => service)).toEqual(["fetch", "push", "push", "push"]);
  expect((await readdir(directory)).filter((name) => name.startsWith("plumbline-"))).toEqual([]);
});

test("key and host keys are files that only their owner reads, and what a killed hub left of them is removed", async () => {
  await using server = await startGitSshServer();
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-mirror-"));
  const { mirror, directory, url } = await mirrorOf(server, folder.path);
  const again = { url, directory, allowedHosts: new Set(["127.0.0.1"]), searchPath: "/usr/bin:/bin", ssh: never };
  let modes: string[] = [];
  server.onRequest = async () => {
    // Two Repositories of one address share a folder: the second must not take the first one's key away.
    await openMirror(again);
    const names = (await readdir(directory)).filter((entry) => entry.startsWith("plumbline-ssh-"));
    const paths = names.flatMap((name) => ["", "key", "known_hosts"].map((file) => join(directory, name, file)));
    modes = await Promise.all(paths.map(async (path) => ((await stat(path)).mode & 0o777).toString(8)));
  };
  await mirror.fetch();
  expect(modes).toEqual(["700", "600", "600"]);

  await mkdir(join(directory, "plumbline-ssh-killed"));
  await writeFile(join(directory, "plumbline-ssh-killed", "key"), server.clientKey);
  await openMirror(again);
  expect(await readdir(directory)).not.toContain("plumbline-ssh-killed");
});

test("a server with another host key is told nothing, and the error says which repository and what to do", async () => {
  await using server = await startGitSshServer();
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-mirror-"));
  const hosts = [`[127.0.0.1]:${server.port} ${createSshKey().public}`];
  const { mirror, url } = await mirrorOf(server, folder.path, { hosts });
  const failure = await failureOf(mirror);
  expect(failure).toBeInstanceOf(AccessRefused);
  expect(failure.message).toContain(url.replace("git@", ""));
  expect(failure.message).toContain(await fingerprintOf(server, folder.path));
  expect(failure.message).toContain("add the line to hostKeys of the Repository");
  expect(failure.message).not.toContain(server.clientKey.split("\n")[2]);
  expect(server.offered()).toBe(0);
  // A push that could not be made is not taken for one that people declined.
  await expect(mirror.commit(change(undefined, "a: 1\n"), signer, 1e12)).rejects.toThrow(AccessRefused);
});

test("no host key, an unknown host, a key that is turned away and one that is none are each told apart", async () => {
  await using server = await startGitSshServer();
  const messageWith = async (access: { key?: string; hosts?: readonly string[] }): Promise<string> => {
    await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-mirror-"));
    const { mirror } = await mirrorOf(server, folder.path, access);
    return (await failureOf(mirror)).message;
  };
  expect(await messageWith({ hosts: [] })).toContain("no host key is pinned");
  expect(await messageWith({ hosts: [`git.example ${createSshKey().public}`] })).toContain("that is not pinned");
  expect(await messageWith({ key: createSshKey().private })).toContain("does not accept the private key");
  expect(await messageWith({ key: "hub:canary-4711" })).toMatch(/^(?!.*canary).*is no private key that ssh reads/);
  expect(server.requests()).toEqual([]);
});

test("takes a rotated key and a new host key at its next fetch", async () => {
  await using server = await startGitSshServer();
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-mirror-"));
  const access = { key: createSshKey().private, hosts: [`[127.0.0.1]:${server.port} ${createSshKey().public}`] };
  const { mirror } = await mirrorOf(server, folder.path, access);
  expect((await failureOf(mirror)).message).toContain("host key");
  access.hosts = [server.knownHost];
  expect((await failureOf(mirror)).message).toContain("private key");
  // As a mounted Secret may hold it: without its last newline, or with those of another system.
  access.key = server.clientKey.trimEnd().replaceAll("\n", "\r\n");
  expect(await mirror.fetch()).toEqual([]);
});

test("says why a server is not reached, and stops waiting when told to", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-mirror-"));
  const server = await startGitSshServer();
  const { mirror } = await mirrorOf(server, folder.path);
  server.failWith("hang");
  await expect(mirror.fetch(AbortSignal.timeout(200))).rejects.toThrow("timeout");
  await server[Symbol.asyncDispose]();
  const failure = await failureOf(mirror);
  expect(failure).toBeInstanceOf(GitFailed);
  expect(failure.message).toContain("Connection refused");
});

const never = {
  privateKey: () => Promise.reject(new AddressRefused("not asked for here")),
  hostKeys: () => Promise.reject(new AddressRefused("not asked for here")),
};

/** As ssh-keygen shows it to the person who compares. */
async function fingerprintOf(server: GitSshServer, folder: string): Promise<string> {
  const file = join(folder, "host.pub");
  await writeFile(file, server.knownHost.slice(server.knownHost.indexOf(" ") + 1));
  const { stdout } = await promisify(execFile)("ssh-keygen", ["-lf", file]);
  expect(await readFile(file, "utf8")).toContain("ssh-ed25519");
  return stdout.split(" ")[1]!;
}
