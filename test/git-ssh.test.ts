import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtempDisposable, readFile, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { createSshKey, startGitSshServer } from "#test/harness/git-ssh-server.ts";

const run = promisify(execFile);

/** git with the real ssh client: it trusts this line and offers this key, and knows of no other. */
async function client(folder: string, knownHost: string, key: string) {
  const [hosts, identity] = [join(folder, "known_hosts"), join(folder, "key")];
  await writeFile(hosts, `${knownHost}\n`);
  await writeFile(identity, key, { mode: 0o600 });
  const options = ["StrictHostKeyChecking=yes", `UserKnownHostsFile=${hosts}`, "IdentitiesOnly=yes", "BatchMode=yes"];
  const ssh = ["ssh", "-F", "/dev/null", "-i", identity, ...options.flatMap((option) => ["-o", option])].join(" ");
  const author = ["AUTHOR", "COMMITTER"].flatMap((who) => [
    [`GIT_${who}_NAME`, "dev1"],
    [`GIT_${who}_EMAIL`, "dev1@example.com"],
  ]);
  const env = { PATH: process.env["PATH"], GIT_SSH_COMMAND: ssh, ...Object.fromEntries(author) };
  return (...arguments_: string[]) => run("git", arguments_, { cwd: folder, env });
}

test("clones and pushes through the real ssh client, and counts it", async () => {
  await using server = await startGitSshServer();
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-ssh-"));
  const git = await client(folder.path, server.knownHost, server.clientKey);
  const url = await server.createRepository("fleet");
  await server.commit("fleet", "main", { "a.yaml": "a: 1\n" }, "first");
  await git("clone", "--quiet", url, "clone");
  expect(await readFile(join(folder.path, "clone", "a.yaml"), "utf8")).toBe("a: 1\n");
  await git("-C", "clone", "commit", "--quiet", "--allow-empty", "-m", "second");
  await git("-C", "clone", "push", "--quiet", "origin", "main");
  expect(await server.git("fleet", ["log", "--format=%s", "main"])).toBe("second\nfirst");
  await server.protect("fleet", "main is protected");
  await git("-C", "clone", "commit", "--quiet", "--allow-empty", "-m", "third");
  await expect(git("-C", "clone", "push", "--quiet", "origin", "main")).rejects.toThrow("main is protected");
  expect(server.requests().map(({ service }) => service)).toEqual(["fetch", "push", "push"]);
});

test("a client that trusts another host key says nothing to it, and one with another key is turned away", async () => {
  await using server = await startGitSshServer();
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-ssh-"));
  const url = await server.createRepository("fleet");
  const other = createSshKey();
  const wary = await client(folder.path, `[127.0.0.1]:${server.port} ${other.public}`, server.clientKey);
  await expect(wary("ls-remote", url)).rejects.toThrow("Host key verification failed");
  expect(server.offered()).toBe(0);
  const stranger = await client(folder.path, server.knownHost, other.private);
  await expect(stranger("ls-remote", url)).rejects.toThrow("Permission denied (publickey)");
  expect(server.offered()).toBeGreaterThan(0);
  expect(server.requests()).toEqual([]);
});

test("runs nothing but git's two services on its own repositories", async () => {
  await using server = await startGitSshServer();
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-ssh-"));
  const git = await client(folder.path, server.knownHost, server.clientKey);
  await expect(git("ls-remote", `ssh://git@127.0.0.1:${server.port}/../etc.git`)).rejects.toThrow("only repositories");
  expect(server.requests()).toEqual([]);
});

test("ends what clients left open", async () => {
  const server = await startGitSshServer();
  const idle = connect(server.port, "127.0.0.1");
  await once(idle, "data");
  const over = once(idle, "close");
  await server[Symbol.asyncDispose]();
  await over;
  const refused = once(connect(server.port, "127.0.0.1"), "connect");
  await expect(refused).rejects.toThrow("ECONNREFUSED");
});
