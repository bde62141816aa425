import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startGitServer, type GitServer } from "#test/harness/git-server.ts";
import { configMap, namespace } from "#test/harness/manifests.ts";
import type { World } from "#test/harness/world.ts";
import { forgeTree } from "#test/hostile/forge.ts";
import { openHostileHub, type HostileHub } from "#test/hostile/hub.ts";

const canary = "canary-4711";
let hub: HostileHub;
let world: World;
beforeAll(async () => {
  hub = await openHostileHub({ pollMs: 300 });
  ({ world } = hub);
});
afterAll(() => hub?.[Symbol.asyncDispose]());

test.each([
  ["file", "file:///etc", "must be an https:// or ssh:// address"],
  ["ext", "ext::sh -c id", "must be an https:// or ssh:// address"],
  ["option", "--upload-pack=id", "must be an https:// or ssh:// address"],
  ["password", `https://hub:${canary}@git.example/x.git`, "credentials"],
])(
  "G11 G14 an address that is none (%s) is refused in its file, by its line, without what it holds",
  async (name, url, because) => {
    await hub.declare(name, url);
    let problems: readonly string[] = [];
    await world.until("the problem", async () => {
      problems = (await world.status()).problems;
      return problems.some((problem) => problem.startsWith(`fleet/${name}.yaml:`));
    });
    const own = problems.find((problem) => problem.includes("spec.url"));
    expect(own).toMatch(new RegExp(`^fleet/${name}.yaml:\\d+: spec.url`));
    expect(own).toContain(because);
    await hub.publish();
    await hub.undeclare(name);
    expect(JSON.stringify(await world.status()) + world.logs()).not.toContain(canary);
  },
);

test.each([
  ["metadata", "https://169.254.169.254/latest/meta-data", "169.254.169.254 is an internal host"],
  ["private", "https://10.0.0.1/x.git", "allow it with --allow-repository-host 10.0.0.1"],
  ["loopback", "https://localhost/x.git", "localhost is an internal host"],
  ["plain", "http://git.example/x.git", "only https:// and ssh:// repositories are read"],
])(
  "G11 a repository in the hub's own network (%s) is an alarm, and nobody speaks to it",
  async (name, url, because) => {
    await hub.declare(name, url);
    expect(await hub.alarm(name)).toContain(because);
    await hub.publish();
    await hub.undeclare(name);
  },
);

/** A server that answers as it is told, and counts. */
async function listen(answer: RequestListener): Promise<AsyncDisposable & { port: number; heard: string[] }> {
  const heard: string[] = [];
  const server = createServer((request, response) => {
    heard.push(JSON.stringify([request.url, request.headers]));
    answer(request, response);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    heard,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await once(server.close(), "close");
    },
  };
}

async function credentials(): Promise<object> {
  const file = join(world.folder, "canary");
  await writeFile(file, `hub:${canary}`);
  return { credentials: { file } };
}
const spilled = async (): Promise<string> => {
  const encoded = Buffer.from(`hub:${canary}`).toString("base64");
  const said = `${JSON.stringify(await world.status())}${world.logs()}`;
  return [canary, encoded].filter((secret) => said.includes(secret)).join();
};

test("G11 G14 a redirect to another host is not followed, and its credential stays where it belongs", async () => {
  await using other = await listen((_request, response) => void response.end());
  await using first = await listen(({ url }, response) =>
    response.writeHead(302, { location: `http://localhost:${other.port}${url}` }).end(),
  );
  await hub.declare("redirected", `http://127.0.0.1:${first.port}/x.git`, await credentials());
  expect(await hub.alarm("redirected")).toMatch(/redirect|302|301/i);
  expect(first.heard.length).toBeGreaterThan(0);
  expect(other.heard).toEqual([]);
  expect(await spilled()).toBe("");
  await hub.publish();
  await hub.undeclare("redirected");
});

test("G14 a credential that the server turns away is in no log and no answer", async () => {
  await using server = await startGitServer({ authorization: "Basic another" });
  await hub.declare("turned", await server.createRepository("turned"), await credentials());
  expect(await hub.alarm("turned")).toMatch(/could not read Username|Authentication failed|401/i);
  expect(await spilled()).toBe("");
  await hub.undeclare("turned");
});

/** Whether the good Application is published before a request that hangs from now on is given up. */
async function overtakes(server: GitServer): Promise<boolean> {
  const before = server.hung().length;
  await world.until("the repository to be asked", () => Promise.resolve(server.hung().length > before));
  const givenUp = server
    .hung()
    .at(-1)!
    .then(() => false);
  const published = hub.publish().then(() => true);
  const isFirst = await Promise.race([published, givenUp]);
  await published;
  return isFirst;
}

test("G6 a repository that hangs, is cut or speaks a byte at a time delays no other", async () => {
  await using server = await startGitServer();
  const url = await server.createRepository("slow");
  await server.commit("slow", "main", { "apps/slow/namespace.yaml": namespace("slow") }, "first");
  server.failWith("hang");
  await hub.declare("slow", url);
  // Whoever waited for the slow one would publish after it was given up. A machine that is busy for as long has a few tries.
  let isFirst = false;
  for (let tries = 0; tries < 5 && !isFirst; tries += 1) isFirst = await overtakes(server);
  expect(isFirst).toBe(true);
  server.failWith("slow");
  await hub.publish();
  server.failWith("cut");
  await hub.undeclare("slow");
});

test("G8 a tree that names .. is an alarm of its repository", async () => {
  const url = await world.git.createRepository("dots");
  await forgeTree(world.git, "dots", "..");
  await hub.declare("dots", url);
  expect(await hub.alarm("dots")).toContain("hasDotdot");
  await hub.publish();
  await hub.undeclare("dots");
});

test("G2 a branch that is deleted, and a folder that is emptied, take nothing from the cluster", async () => {
  await hub.declare("gone", await world.git.createRepository("gone"));
  await world.git.commit("gone", "main", { "apps/gone/namespace.yaml": namespace("gone") }, "first");
  await hub.publish("gone", "gone");
  await world.git.commit("gone", "main", { "apps/gone": null, "else.txt": "x" }, "emptied");
  await world.until("the reason", async () =>
    (await world.status()).rows.some(
      ({ application, reasons }) => application === "gone" && reasons.join().includes("holds no manifest"),
    ),
  );
  expect(hub.settingsOf("gone")).toBeDefined();
  await world.git.git("gone", ["update-ref", "-d", "refs/heads/main"]);
  expect(await hub.alarm("gone")).toContain("branch main of gone");
  await hub.publish();
  expect(hub.settingsOf("gone")).toBeDefined();
});

test("G13 replace refs are not obeyed, and a repository of SHA-256 is read", async () => {
  const { git } = world;
  await hub.declare("replaced", await git.createRepository("replaced"));
  await git.commit("replaced", "main", { "apps/replaced/namespace.yaml": namespace("replaced") }, "first");
  await hub.publish("replaced", "replaced");
  const honest = await git.git("replaced", ["rev-parse", "main"]);
  const evil = await git.commit(
    "replaced",
    "evil",
    { "apps/replaced/settings.yaml": configMap("settings", { version: "evil" }) },
    "evil",
  );
  await git.git("replaced", ["replace", honest, evil]);
  await git.commit("replaced", "other", { x: "1" }, "something new");
  await hub.publish();
  expect(hub.settingsOf("replaced")?.["version"]).not.toBe("evil");
  const hashesUrl = await git.createRepository("hashes", "sha256");
  await git.commit("hashes", "main", { "apps/hashes/namespace.yaml": namespace("hashes") }, "first");
  await hub.declare("hashes", hashesUrl);
  await hub.publish("hashes", "hashes");
  await hub.publish();
});

test("G13 a remote that is a shallow clone is an alarm that says what to do, and is read once it is whole", async () => {
  const { git } = world;
  await git.createRepository("whole");
  for (const text of ["first", "second", "third"])
    await git.commit("whole", "main", { "apps/shallow/namespace.yaml": namespace("shallow"), text }, text);
  const url = await git.createRepository("shallow");
  await git.git("shallow", ["fetch", "--quiet", "--depth=1", "../whole.git", "main:main"]);
  expect(await git.git("shallow", ["rev-parse", "--is-shallow-repository"])).toBe("true");
  await hub.declare("shallow", url);
  expect(await hub.alarm("shallow")).toContain("is a shallow clone, whose history is cut off: give it the whole");
  await hub.publish();
  await git.git("shallow", ["fetch", "--quiet", "--unshallow", "../whole.git"]);
  await hub.publish("shallow", "shallow");
  await world.until("the alarm to end", async () => !(await world.status()).alarms.join().includes("shallow"));
  await hub.undeclare("shallow");
});

test("G12 a forged webhook of 50 MB, and one of the wrong types, cost a refusal", async () => {
  const { peak } = hub;
  await peak.reset();
  const before = await peak.megabytes();
  const send = (body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string>) =>
    fetch(`${world.hubUrl}/webhooks/fleet`, { method: "POST", body, headers })
      .then(({ status }) => status)
      // Cut off in the middle of its body.
      .catch(() => 413);
  expect(await send(Buffer.alloc(50 * 2 ** 20, "{"), { "x-hub-signature-256": `sha256=${"0".repeat(64)}` })).toBe(413);
  for (const body of ["null", "[]", '{"repository": 7}', '{"repository": {"clone_url": {}}}', "{"])
    expect(await send(body, { "x-hub-signature-256": `sha256=${"0".repeat(64)}` })).toBe(403);
  expect((await peak.megabytes()) - before).toBeLessThan(60);
  await hub.publish();
});
