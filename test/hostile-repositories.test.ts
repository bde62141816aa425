import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { stringify } from "yaml";
import { startGitServer } from "#test/harness/git-server.ts";
import { application, configMap, environment, namespace } from "#test/harness/manifests.ts";
import { startWorld, type World } from "#test/harness/world.ts";
import { forgeTree } from "#test/hostile/forge.ts";
import { joinSimulated } from "#test/hostile/member.ts";
import { peakOf } from "#test/hostile/peak.ts";

const canary = "canary-4711";
let world: World;
let member: Awaited<ReturnType<typeof joinSimulated>>;
beforeAll(async () => {
  world = await startWorld({ pollMs: 300 });
  await world.startHub();
  await world.git.commit(
    "fleet",
    "main",
    {
      "fleet/dev.yaml": environment("dev", { follow: "main" }),
      "fleet/good.yaml": application("good", { path: "apps/good", namespace: "good", environments: ["dev"] }),
      "apps/good/namespace.yaml": namespace("good"),
    },
    "good",
  );
  member = await joinSimulated(world, "dev-1", { env: "dev" });
  await publish("good", "fleet");
});
afterAll(async () => {
  await member?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});

const settingsOf = (name: string) =>
  member.cluster.get({ apiVersion: "v1", group: "", kind: "ConfigMap", namespace: name, name: "settings" })?.[
    "data"
  ] as Record<string, string> | undefined;

let version = 0;
/** A commit to an Application in a repository of the world's Git server, seen in its cluster. Gives the time it took. */
async function publish(name: string, repository: string): Promise<number> {
  version += 1;
  const settings = configMap("settings", { version: String(version) });
  const begun = performance.now();
  await world.git.commit(repository, "main", { [`apps/${name}/settings.yaml`]: settings }, `${name} ${version}`);
  await world.until(`${name}'s change`, () => Promise.resolve(settingsOf(name)?.["version"] === String(version)));
  return performance.now() - begun;
}

/** Declares a Repository, and an Application that comes from it. */
const declare = (name: string, url: string, more: object = {}): Promise<string> =>
  world.git.commit(
    "fleet",
    "main",
    {
      [`fleet/${name}.yaml`]: [
        stringify({ apiVersion: "plumbline.dev/v1", kind: "Repository", metadata: { name }, spec: { url, ...more } }),
        application(name, { path: `apps/${name}`, namespace: name, environments: ["dev"], repository: name }),
      ].join("---\n"),
    },
    `declares ${name}`,
  );
const undeclare = (name: string): Promise<string> =>
  world.git.commit("fleet", "main", { [`fleet/${name}.yaml`]: null }, `${name} is gone`);

async function alarm(name: string): Promise<string> {
  let found: string | undefined;
  await world.until(`an alarm about ${name}`, async () => {
    found = (await world.status()).alarms.find((text) => text.startsWith(`${name}:`) || text.includes(` of ${name} `));
    return found !== undefined;
  });
  return found!;
}

test.each([
  ["file", "file:///etc", "must be an https:// or ssh:// address"],
  ["ext", "ext::sh -c id", "must be an https:// or ssh:// address"],
  ["option", "--upload-pack=id", "must be an https:// or ssh:// address"],
  ["password", `https://hub:${canary}@git.example/x.git`, "credentials"],
])(
  "G11 G14 an address that is none (%s) is refused in its file, by its line, without what it holds",
  async (name, url, because) => {
    await declare(name, url);
    let problems: readonly string[] = [];
    await world.until("the problem", async () => {
      problems = (await world.status()).problems;
      return problems.some((problem) => problem.startsWith(`fleet/${name}.yaml:`));
    });
    const own = problems.find((problem) => problem.includes("spec.url"));
    expect(own).toMatch(new RegExp(`^fleet/${name}.yaml:\\d+: spec.url`));
    expect(own).toContain(because);
    await publish("good", "fleet");
    await undeclare(name);
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
    await declare(name, url);
    expect(await alarm(name)).toContain(because);
    await publish("good", "fleet");
    await undeclare(name);
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
  await declare("redirected", `http://127.0.0.1:${first.port}/x.git`, await credentials());
  expect(await alarm("redirected")).toMatch(/redirect|302|301/i);
  expect(first.heard.length).toBeGreaterThan(0);
  expect(other.heard).toEqual([]);
  expect(await spilled()).toBe("");
  await publish("good", "fleet");
  await undeclare("redirected");
});

test("G14 a credential that the server turns away is in no log and no answer", async () => {
  await using server = await startGitServer({ authorization: "Basic another" });
  await declare("turned", await server.createRepository("turned"), await credentials());
  expect(await alarm("turned")).toMatch(/could not read Username|Authentication failed|401/i);
  expect(await spilled()).toBe("");
  await undeclare("turned");
});

test("G6 a repository that hangs, is cut or speaks a byte at a time delays no other", async () => {
  await using server = await startGitServer();
  const url = await server.createRepository("slow");
  await server.commit("slow", "main", { "apps/slow/namespace.yaml": namespace("slow") }, "first");
  server.failWith("hang");
  await declare("slow", url);
  expect(await publish("good", "fleet")).toBeLessThan(10_000);
  server.failWith("slow");
  await publish("good", "fleet");
  server.failWith("cut");
  await undeclare("slow");
});

test("G8 a tree that names .. is an alarm of its repository", async () => {
  const url = await world.git.createRepository("dots");
  await forgeTree(world.git, "dots", "..");
  await declare("dots", url);
  expect(await alarm("dots")).toContain("hasDotdot");
  await publish("good", "fleet");
  await undeclare("dots");
});

test("G2 a branch that is deleted, and a folder that is emptied, take nothing from the cluster", async () => {
  await declare("gone", await world.git.createRepository("gone"));
  await world.git.commit("gone", "main", { "apps/gone/namespace.yaml": namespace("gone") }, "first");
  await publish("gone", "gone");
  await world.git.commit("gone", "main", { "apps/gone": null, "else.txt": "x" }, "emptied");
  await world.until("the reason", async () =>
    (await world.status()).rows.some(
      ({ application, reasons }) => application === "gone" && reasons.join().includes("holds no manifest"),
    ),
  );
  expect(settingsOf("gone")).toBeDefined();
  await world.git.git("gone", ["update-ref", "-d", "refs/heads/main"]);
  expect(await alarm("gone")).toContain("branch main of gone");
  await publish("good", "fleet");
  expect(settingsOf("gone")).toBeDefined();
});

test("G13 replace refs are not obeyed, and a repository of SHA-256 is read", async () => {
  const { git } = world;
  await declare("replaced", await git.createRepository("replaced"));
  await git.commit("replaced", "main", { "apps/replaced/namespace.yaml": namespace("replaced") }, "first");
  await publish("replaced", "replaced");
  const honest = await git.git("replaced", ["rev-parse", "main"]);
  const evil = await git.commit(
    "replaced",
    "evil",
    { "apps/replaced/settings.yaml": configMap("settings", { version: "evil" }) },
    "evil",
  );
  await git.git("replaced", ["replace", honest, evil]);
  await git.commit("replaced", "other", { x: "1" }, "something new");
  await publish("good", "fleet");
  expect(settingsOf("replaced")?.["version"]).not.toBe("evil");
  const hashesUrl = (await git.createRepository("new-hash")).replace("new-hash.git", "hashes.git");
  await git.git("new-hash", ["init", "--quiet", "--bare", "--object-format=sha256", "../hashes.git"]);
  await git.git("hashes", ["config", "http.receivepack", "true"]);
  await git.commit("hashes", "main", { "apps/hashes/namespace.yaml": namespace("hashes") }, "first");
  await declare("hashes", hashesUrl);
  await publish("hashes", "hashes");
  await publish("good", "fleet");
});

test("G12 a forged webhook of 50 MB, and one of the wrong types, cost a refusal", async () => {
  const peak = peakOf(world.hub().pid);
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
  await publish("good", "fleet");
});
