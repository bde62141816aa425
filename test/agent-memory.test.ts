import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, beforeEach, afterEach, expect, test } from "vitest";
import { ApplicationPhase } from "#proto/gen/plumbline/agent/v1/agent.ts";
import type { KubeObject } from "#proto/object.ts";
import { realBackend, type Backend } from "#test/drift-cases/backend.ts";
import { settings } from "#test/drift-cases/objects.ts";
import { World } from "#test/drift-cases/world.ts";

let backend: Backend;
let world: World;
let round = 0;
beforeAll(async () => {
  backend = await realBackend();
});
afterAll(() => backend[Symbol.asyncDispose]());
beforeEach(async () => {
  world = await World.open(backend, `memory-${(round += 1)}`);
});
afterEach(() => world[Symbol.asyncDispose]());

const many = 70;
const inventory = (): KubeObject[] =>
  Array.from({ length: many }, (_, n) => settings(world, { level: "info" }, `c-${n}`));

async function secrets(label: string): Promise<KubeObject[]> {
  const kind = (await world.person.kindOf("v1", "Secret"))!;
  const labelSelector = `plumbline.dev/state=${label}`;
  return (await world.person.list(kind, { namespace: world.agentNamespace, labelSelector })).items;
}

const forget = async (secret: KubeObject): Promise<void> =>
  void (await world.person.delete(world.address(secret), { uid: secret.metadata.uid! }));

/** An immutable Secret is damaged by one of the same name in its place. */
async function damage(secret: KubeObject): Promise<void> {
  const data = secret["data"] as Record<string, string>;
  const broken = Object.fromEntries(
    Object.entries(data).map(([field, text]) => {
      const bytes = Buffer.from(text, "base64");
      const at = Math.floor(bytes.length / 2);
      if (bytes.length > 0) bytes[at] = bytes[at]! ^ 0x20;
      return [field, bytes.toString("base64")];
    }),
  );
  const { name, namespace = "", labels = {}, annotations = {} } = secret.metadata;
  await forget(secret);
  await world.person.create({ ...secret, metadata: { name, namespace, labels, annotations }, data: broken });
}

const harms = { deleted: forget, damaged: damage };
const notices = (): string[] => (world.events("notice") as { text: string }[]).map(({ text }) => text);
const levelOf = async (object: KubeObject): Promise<unknown> => world.value(object, "data.level");
/** What a start finds, once it has come to rest. */
async function startAgain(): Promise<void> {
  await world.start();
  await world.engine.settled();
  await world.caughtUp();
}

/** Starts it again without a hub: what was recovered is kept. */
async function isKept(objects: number): Promise<void> {
  await world.stop();
  world.documents.blobs.clear();
  const before = notices().length;
  await startAgain();
  expect(notices().slice(before)).toEqual([]);
  expect(world.engine.statuses()).toMatchObject([{ phase: ApplicationPhase.APPLIED, objects }]);
}

for (const [harm, doIt] of Object.entries(harms)) {
  test(`a bundle's slice ${harm} by hand is fetched again, and kept again`, async () => {
    const a = settings(world, { level: "info" });
    await world.deploy([a]);
    await world.stop();
    for (const slice of await secrets("slice")) await doIt(slice);
    await world.edit(a, { "data.level": "debug" });
    await startAgain();
    await world.until(async () => (await levelOf(a)) === "info");
    await world.engine.settled();
    expect(notices().filter((text) => text.includes("the stored bundle of shop cannot be opened"))).toHaveLength(1);
    await isKept(2);
  });

  test(`an inventory's chunk ${harm} by hand is made anew from the cluster, and nothing is pruned`, async () => {
    const all = inventory();
    await world.deploy(all);
    await world.stop();
    const chunks = await secrets("chunk");
    expect(chunks.length).toBeGreaterThan(0);
    for (const chunk of chunks) await doIt(chunk);
    await startAgain();
    expect(notices().join("\n")).toContain("the inventory of shop cannot be read");
    expect(notices().at(-1)).toBe(`the inventory of shop was made anew: ${many + 1} objects`);
    expect(world.drifts()).toEqual([]);
    expect(world.events("pruned")).toEqual([]);
    await isKept(many + 1);
  });

  test(`a head ${harm} by hand is made anew, and what differs is told`, async () => {
    const [a, b] = [settings(world, { level: "info" }), settings(world, { level: "info" }, "b")];
    await world.deploy([a, b]);
    await world.stop();
    // The newest document was in it.
    for (const head of await secrets("head")) await doIt(head);
    await world.edit(a, { "data.level": "debug" });
    await world.start();
    if (harm === "damaged")
      expect(notices().join("\n")).toContain("Secret plumbline-application-shop: stored head cannot be read");
    await world.take(world.documents.run("shop", [world.ownNamespace, a, b]));
    await world.caughtUp();
    expect(await levelOf(a)).toBe("info");
    expect(world.reports().filter((line) => line.startsWith("changed"))).toEqual([
      "changed, healed: data.level by kubectl-edit",
    ]);
    expect(world.engine.statuses()).toMatchObject([{ phase: ApplicationPhase.APPLIED, objects: 3 }]);
    await isKept(3);
  });

  test(`the stored document ${harm} by hand: it heals still, and the hub's is taken`, async () => {
    const a = settings(world, { level: "info" });
    await world.deploy([a]);
    const newest = world.documents.sign(world.documents.run("shop", [world.ownNamespace, a]));
    world.engine.take(newest, "");
    await world.engine.settled();
    await world.stop();
    for (const secret of [...(await secrets("document")), ...(await secrets("head"))])
      if (harm === "deleted")
        await world.person.replace({ ...secret, data: { ...(secret["data"] as object), envelope: "" } });
      else
        await world.person.replace({
          ...secret,
          data: { ...(secret["data"] as object), envelope: "bm90IGEgZG9jdW1lbnQ=" },
        });
    await world.edit(a, { "data.level": "debug" });
    await startAgain();
    await world.until(async () => (await levelOf(a)) === "info");
    if (harm === "damaged") expect(notices().join("\n")).toContain("a stored document cannot be used");
    const before = await world.requests();
    world.engine.take(newest, "");
    await world.engine.settled();
    const after = await world.requests();
    expect(after["patch configmaps"]).toBe(before["patch configmaps"]);
    await isKept(2);
  });
}

test("the newest document deleted by hand: a broker that shows an older one is refused, and what runs stays", async () => {
  const a = (level: string) => settings(world, { level });
  const older = world.documents.sign(world.documents.run("shop", [world.ownNamespace, a("one")]));
  const newer = world.documents.sign(world.documents.run("shop", [world.ownNamespace, a("two")]));
  world.engine.take(newer, "");
  await world.engine.settled();
  await world.stop();
  for (const secret of [...(await secrets("document")), ...(await secrets("head"))])
    await world.person.replace({ ...secret, data: { ...(secret["data"] as object), envelope: "" } });
  await world.start();
  expect(notices().join("\n")).toContain("all is kept as it is until the hub shows it again");
  for (const document of [older, newer]) {
    world.engine.take(document, "");
    await world.engine.settled();
    expect(await levelOf(a(""))).toBe("two");
  }
  expect(world.events("refusal")).toMatchObject([{ reason: "Passed" }]);
  expect(world.engine.statuses()).toMatchObject([{ phase: ApplicationPhase.APPLIED }]);
});

test("a lost inventory prunes nothing: neither for a newer bundle nor for a Removal", async () => {
  const [a, b] = [settings(world, { level: "info" }), settings(world, {}, "b")];
  await world.deploy([a, b]);
  await world.stop();
  for (const head of await secrets("head")) await damage(head);
  await world.start();
  await world.take(world.documents.remove("shop", "delete"));
  expect(world.engine.statuses()).toMatchObject([
    { phase: ApplicationPhase.BLOCKED, reason: expect.stringContaining("cannot be read") as string },
  ]);
  await world.take(world.documents.run("shop", [world.ownNamespace, a]));
  expect(world.events("pruned")).toEqual([]);
  expect(await world.get(b)).toBeDefined();
  expect(world.engine.statuses()).toMatchObject([{ phase: ApplicationPhase.APPLIED, objects: 2 }]);
  await world.take(world.documents.remove("shop", "delete"));
  expect(await world.person.get(world.address(a))).toBeUndefined();
  expect(await world.get(b)).toBeDefined();
});

test("head, chunks and slices deleted under a running agent are there again after its next write", async () => {
  const all = inventory();
  await world.deploy(all);
  for (const label of ["head", "chunk", "slice"]) for (const secret of await secrets(label)) await forget(secret);
  const next = [...all.slice(1), settings(world, { level: "debug" }, "c-0")];
  await world.deploy(next);
  await isKept(many + 1);
  expect(world.drifts()).toEqual([]);
});

test("everything that it remembers deleted by hand: the hub and the cluster give it back without a changed object", async () => {
  const all = [settings(world, { level: "info" }), settings(world, { level: "info" }, "b")];
  await world.deploy(all);
  const newest = world.documents.sign(world.documents.run("shop", [world.ownNamespace, ...all]));
  const versions = async () =>
    Promise.all(all.map(async (object) => (await world.get(object)).metadata.resourceVersion));
  const before = await versions();
  await world.stop();
  for (const label of ["head", "chunk", "slice", "document"])
    for (const secret of await secrets(label)) await forget(secret);
  await world.start();
  world.engine.take(newest, "");
  await world.engine.settled();
  expect(await versions()).toEqual(before);
  expect(world.drifts()).toEqual([]);
  await isKept(3);
});

test("a bundle of several slices is kept, and opened again by a start without a hub", async () => {
  // Random text is as large compressed; each object is well under its limit.
  const letters = () => randomBytes(675_000).toString("base64");
  const large = ["b", "c", "d"].map((name) => settings(world, { text: letters() }, name));
  const a = settings(world, { level: "info" });
  await world.deploy([a, ...large]);
  const slices = await secrets("slice");
  expect(slices.length).toBeGreaterThan(3);
  await world.stop();
  world.documents.blobs.clear();
  await world.edit(a, { "data.level": "debug" });
  await startAgain();
  await world.until(async () => (await levelOf(a)) === "info");
  expect(notices()).toEqual([]);
});

test("the bundle before the last goes after an hour or two, and costs nothing sooner", async () => {
  await world.deploy([settings(world, { level: "one" })]);
  await world.deploy([settings(world, { level: "two" })]);
  const kept = async () => (await secrets("slice")).length;
  expect(await kept()).toBe(2);
  const hourMs = 3_600_000;
  await world.clock.advance(hourMs - 1);
  await world.engine.settled();
  expect(await kept()).toBe(2);
  await world.clock.advance(hourMs + 1);
  await world.until(async () => (await kept()) === 1);
  await isKept(2);
});
