import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { freePorts } from "#test/harness/free-port.ts";
import { createSshKey, startGitSshServer } from "#test/harness/git-ssh-server.ts";
import { startProcess, untilReady } from "#test/harness/process.ts";
import { serverPath } from "#test/harness/servers.ts";

const cli = fileURLToPath(new URL("../cli/main.ts", import.meta.url));

test("a hub reads its fleet and an application's repository over ssh, each with its own host key", async () => {
  await using fleet = await startGitSshServer();
  await using apps = await startGitSshServer();
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-hub-ssh-"));
  const inFolder = (name: string): string => join(folder.path, name);
  const [http] = (await freePorts(1)) as [number];
  const env = {
    PATH: process.env["PATH"],
    HOME: folder.path,
    PLUMBLINE_NATS_SERVER: serverPath("nats-server"),
    PLUMBLINE_HUB: `http://127.0.0.1:${http}`,
    PLUMBLINE_TOKEN_FILE: inFolder("plumbline-admin-token"),
  };
  const plumb = async (...arguments_: string[]): Promise<string> => {
    await using child = startProcess(process.execPath, [cli, ...arguments_, "-o", "json"], { env, cwd: folder.path });
    let stdout = "";
    child.child.stdout?.on("data", (chunk: Buffer) => (stdout += chunk.toString("utf8")));
    await child.ended;
    expect(child.child.exitCode, child.log()).toBe(0);
    return stdout;
  };
  const { access } = JSON.parse(await plumb("init", `--identity=${inFolder("identity.json")}`)) as { access: string };
  await Promise.all([
    writeFile(inFolder("fleet-key"), fleet.clientKey),
    writeFile(inFolder("apps-key"), apps.clientKey),
    writeFile(inFolder("known_hosts"), `# of our forge\n${fleet.knownHost}\n`),
  ]);
  const fleetUrl = await fleet.createRepository("fleet");
  const appsUrl = await apps.createRepository("apps");
  await apps.commit("apps", "main", { "a.yaml": "" }, "first");
  const repository = (name: string, hostKey: string): string =>
    `apiVersion: plumbline.dev/v1\nkind: Repository\nmetadata: {name: ${name}}\nspec:\n  url: ${appsUrl}\n` +
    `  credentials: {file: ${inFolder("apps-key")}}\n  hostKeys: ["${hostKey}"]\n`;
  const stranger = `[127.0.0.1]:${apps.port} ${createSshKey().public}`;
  const files = {
    "fleet/access.yaml": access,
    "fleet/apps.yaml": repository("apps", apps.knownHost),
    "fleet/stranger.yaml": repository("stranger", stranger),
  };
  await fleet.commit("fleet", "main", files, "who may do what");

  await using hub = startProcess(
    process.execPath,
    [
      cli,
      "hub",
      `--fleet=${fleetUrl}`,
      `--fleet-credentials=${inFolder("fleet-key")}`,
      `--fleet-host-keys=${inFolder("known_hosts")}`,
      `--identity=${inFolder("identity.json")}`,
      `--data=${inFolder("data")}`,
      "--allow-repository-host=127.0.0.1",
      "--poll-ms=200",
      `--listen-http=127.0.0.1:${http}`,
      "--listen-grpc=127.0.0.1:0",
      "--listen-nats=127.0.0.1:0",
    ],
    { env, cwd: folder.path },
  );
  await untilReady(hub, "hub", async () => (await fetch(`${env.PLUMBLINE_HUB}/readyz`)).ok);
  // A repository is first fetched beside the others, so which answer comes first is nobody's promise.
  await expect.poll(() => plumb("status"), { timeout: 60_000, interval: 200 }).toContain("stranger: ssh://127.0.0.1");
  await expect
    .poll(() => apps.requests(), { timeout: 60_000, interval: 50 })
    .toContainEqual({ repository: "apps", service: "fetch" });
  expect(await plumb("status")).not.toContain("apps: ssh://");

  // Whoever corrects the document needs no restart.
  const corrected = { "fleet/stranger.yaml": repository("stranger", apps.knownHost) };
  await fleet.commit("fleet", "main", corrected, "the forge has a new host key");
  await expect.poll(() => plumb("status"), { timeout: 60_000, interval: 200 }).not.toContain("stranger: ssh://");
  const lines = [fleet.clientKey, apps.clientKey].flatMap((key) => key.split("\n").slice(1, -2));
  for (const line of lines) expect(hub.log()).not.toContain(line);
});
