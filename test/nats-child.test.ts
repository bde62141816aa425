import { chmod, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { natsIdentity } from "#hub/identity/nats-jwt.ts";
import { createNatsKeys } from "#hub/identity/nats-keys.ts";
import { startNatsChild } from "#hub/publish/nats-child.ts";
import { requireNatsVersion } from "#hub/publish/nats-version.ts";
import { startNatsServer } from "#test/harness/nats-server.ts";
import { serverPath } from "#test/harness/servers.ts";

test("a broker's configuration and claims are readable by its owner alone, and it ends with its scope", async () => {
  let pid: number;
  {
    await using server = await startNatsServer();
    pid = server.child().pid;
    expect((await stat(join(server.directory, "nats.conf"))).mode & 0o777).toBe(0o600);
  }
  expect(() => process.kill(pid, 0)).toThrow("ESRCH");
});

test("a broker has its streams' account set up before anybody connects, who may otherwise lose a stream", async () => {
  await using server = await startNatsServer();
  const account = join(server.directory, "jetstream", "jetstream", server.identity.streamsAccount);
  // Only setting an account up clears away what begins with a dot.
  const folders = (): Promise<string[]> => readdir(account, { recursive: true });
  while ((await folders()).length > 1) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(await folders()).toEqual(["streams"]);
});

test("a broker whose port is taken says so instead of waiting", async () => {
  await using server = await startNatsServer();
  await using folder = await scratch();
  const start = startNatsChild({
    binary: serverPath("nats-server"),
    directory: folder.path,
    identity: server.identity,
    listen: { host: "127.0.0.1", port: server.child().port },
  });
  await expect(start).rejects.toThrow("address already in use");
});

test("a broker that cannot read what it is started with says why", async () => {
  await using folder = await scratch();
  const identity = { ...natsIdentity(createNatsKeys()), operatorJwt: "no-operator" };
  const listen = { host: "127.0.0.1", port: 0 };
  const start = startNatsChild({ binary: serverPath("nats-server"), directory: folder.path, identity, listen });
  await expect(start).rejects.toThrow(/ended with code 1 before it was ready: .*no-operator/);
});

test("a broker that a killed hub left behind gives way to the next one", async () => {
  await using server = await startNatsServer();
  const left = server.child();
  await server.start();
  expect(await left.exited).toContain("ended");
  expect(server.child().pid).not.toBe(left.pid);
});

test("a nats-server with known flaws is refused before it is started", async () => {
  await using folder = await scratch();
  const binary = join(folder.path, "nats-server");
  await writeFile(binary, "#!/bin/sh\necho nats-server: v2.12.14\n");
  await chmod(binary, 0o700);
  await using server = await startNatsServer();
  const listen = { host: "127.0.0.1", port: 0 };
  const start = startNatsChild({ binary, directory: join(folder.path, "nats"), identity: server.identity, listen });
  await expect(start).rejects.toThrow("needs 2.12.15 or newer");
});

test.each(["2.12.15", "v2.12.16-RC.1", "nats-server: v2.15.2\n", "2.14.0", "3.0.0"])("takes version %s", (version) => {
  expect(() => requireNatsVersion(version)).not.toThrow();
});

test.each(["2.9.10", "v2.12.14", "1.99.99", "unknown"])("refuses version %s", (version) => {
  expect(() => requireNatsVersion(version)).toThrow("needs 2.12.15 or newer");
});

async function scratch(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), "plumbline-nats-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
