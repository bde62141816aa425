import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { stringify } from "yaml";
import { forge, type Entry } from "#test/hostile/forge.ts";
import { joinSimulated } from "#test/hostile/member.ts";
import { peakOf, type Peak } from "#test/hostile/peak.ts";
import { rows } from "#test/hostile/rows.ts";
import { configMap, environment, namespace } from "#test/harness/manifests.ts";
import { startWorld, type World } from "#test/harness/world.ts";

/** Whatever anybody commits. */
const hubMegabytes = 400;

let world: World;
let member: Awaited<ReturnType<typeof joinSimulated>>;
let peak: Peak;
let folder: string;
const table: string[] = [];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "plumbline-release-"));
  // What people run: the bundle, without the loader that reads TypeScript.
  await promisify(execFile)(process.execPath, [fileURLToPath(new URL("../tools/build.js", import.meta.url)), folder]);
  world = await startWorld({ pollMs: 1_000, renderers: true, cli: join(folder, "plumb.js") });
  await world.startHub();
  peak = peakOf(world.hub().pid);
  await commit([
    { path: "fleet/dev.yaml", content: environment("dev", { follow: "main" }) },
    { path: "fleet/good.yaml", content: document("good") },
    { path: "apps/good/namespace.yaml", content: namespace("good") },
  ]);
  member = await joinSimulated(world, "dev-1", { env: "dev" });
  await publishGood();
});
afterAll(async () => {
  process.stdout.write(`${table.join("\n")}\n`);
  await member?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const document = (name: string, source: object = {}): string =>
  stringify({
    apiVersion: "plumbline.dev/v1",
    kind: "Application",
    metadata: { name },
    spec: { source: { path: `apps/${name}`, ...source }, namespace: name, environments: ["dev"] },
  });

async function commit(entries: readonly Entry[]): Promise<void> {
  await forge(world.git, "fleet", entries);
  await world.git.onPush("fleet");
}

const reasonsOf = async (application: string): Promise<readonly string[]> =>
  (await world.status()).rows.find((row) => row.application === application)?.reasons ?? [];

let version = 0;
/** A commit to the good Application, and the time until its cluster has it. */
async function publishGood(): Promise<number> {
  version += 1;
  const data = { version: String(version) };
  const begun = performance.now();
  await commit([{ path: "apps/good/settings.yaml", content: configMap("settings", data) }]);
  const ref = { apiVersion: "v1", group: "", kind: "ConfigMap", namespace: "good", name: "settings" };
  await world.until("the good Application's change", () =>
    Promise.resolve((member.cluster.get(ref)?.["data"] as typeof data | undefined)?.version === data.version),
  );
  return performance.now() - begun;
}

async function told(application: string): Promise<readonly string[]> {
  let reasons: readonly string[] = [];
  await world.until(`a reason for ${application}`, async () => (reasons = await reasonsOf(application)).length > 0);
  return reasons;
}

const filesOf = (name: string, entries: readonly Entry[]): Entry[] =>
  entries.map((entry) => ({ ...entry, path: `apps/${name}/${entry.path}` }));

test.each(rows.map((row, n) => ({ ...row, name: `bad-${n}` })))(
  "$row $what: one clear reason, and the others go on",
  async ({ row, what, name, entries, because }) => {
    await peak.reset();
    await commit([...filesOf(name, entries), { path: `fleet/${name}.yaml`, content: document(name) }]);
    const reasons = await told(name);
    const publishedMs = await publishGood();
    const megabytes = await peak.megabytes();
    table.push(
      `| ${row} | ${what} | ${reasons.join(" / ").slice(0, 160)} | ${megabytes} MB | ${Math.round(publishedMs)} ms |`,
    );
    await world.git.commit("fleet", "main", { [`apps/${name}`]: null, [`fleet/${name}.yaml`]: null }, "gone again");
    expect(reasons).toHaveLength(1);
    expect(reasons[0]).toMatch(because);
    expect(reasons[0]!.length).toBeLessThan(1_500);
    expect(megabytes).toBeLessThan(hubMegabytes);
  },
);

test("all of them at once: each has its reason, the others go on, and the hub's memory holds", async () => {
  await peak.reset();
  const all = rows.map((row, n) => ({ ...row, name: `all-${n}` }));
  await commit(
    all.flatMap(({ name, entries }) => [
      ...filesOf(name, entries),
      { path: `fleet/${name}.yaml`, content: document(name) },
    ]),
  );
  const publishedMs = [await publishGood(), await publishGood()];
  for (const { name, because } of all) expect((await told(name)).join()).toMatch(because);
  publishedMs.push(await publishGood());
  const megabytes = await peak.megabytes();
  table.push(`| all | ${rows.length} at once | | ${megabytes} MB | ${publishedMs.map(Math.round).join(", ")} ms |`);
  expect(megabytes).toBeLessThan(hubMegabytes);
});
