import { randomBytes, randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { createSimulatedCluster } from "#agent/cluster/simulated/simulated.ts";
import { addressOf } from "#proto/bundle.ts";
import { applicationName, bundleDigest, environmentName, revision, type BlobAddress } from "#proto/ids.ts";
import type { KubeObject } from "#proto/object.ts";
import type { Head, Owned } from "./head.ts";
import { labelOf } from "./read.ts";
import { dataOf } from "./secrets.ts";
import { openState } from "./store.ts";

const namespace = "plumbline-agent";
const nobody = (): boolean => false;
/** So many that they go into a chunk. */
const many = 100;

const owned = (level: string): Owned => ({
  apiVersion: "v1",
  uid: "u",
  applied: level,
  baseline: { format: 1, ownershipHash: "o", valueHash: level, empty: [] },
});
const bundle = (content: string): { slices: Buffer[]; address: BlobAddress } => {
  const slices = [Buffer.from(`${content} 1`), Buffer.from(`${content} 2`)];
  return { slices, address: addressOf(slices) };
};
const headOf = (level: string, { address, slices }: ReturnType<typeof bundle>): Head => ({
  application: applicationName("shop"),
  environment: environmentName("prod"),
  run: {
    kind: "run",
    application: applicationName("shop"),
    environment: environmentName("prod"),
    revision: revision("a".repeat(40)),
    digest: bundleDigest("b".repeat(64)),
    address,
    slices: slices.length,
    objects: many,
    sealedKey: Buffer.from("key"),
    delivery: {} as NonNullable<Head["run"]>["delivery"],
  },
  complete: true,
  inventory: new Map(Array.from({ length: many }, (_, n) => [`/ConfigMap/shop/c-${n}`, owned(level)])),
});

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** An agent's memory, with something to do before each of its writes, and answers that may get lost. */
async function world() {
  const cluster = createSimulatedCluster().connect();
  await cluster.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } });
  const before = { create: async () => {}, delete: async () => {} };
  const lost = { answers: false };
  const watched: Cluster = {
    ...cluster,
    async create(object, signal) {
      await before.create();
      return cluster.create(object, signal);
    },
    async delete(address, options) {
      await before.delete();
      const answer = await cluster.delete(address, options);
      if (lost.answers) throw new Error("the connection was lost");
      return answer;
    },
  };
  return {
    before,
    lost,
    store: openState(watched, namespace),
    /** What the next agent reads. */
    read: () => openState(cluster, namespace).load(),
    /** Bytes of each Secret, as the API server counts them. */
    sizes: async (): Promise<number[]> => {
      const kind = (await cluster.kindOf("v1", "Secret"))!;
      const { items } = await cluster.list(kind, { namespace });
      const bytes = (secret: KubeObject): number[] =>
        Object.values(dataOf(secret)).map((text = "") => Buffer.byteLength(text, "base64"));
      return items.map((secret) => bytes(secret).reduce((sum, one) => sum + one, 0));
    },
    /** A Secret in the place of another, with the content of a third: nothing in it is damaged. */
    swap: async (name: string, other: string, label: string) => {
      const secret = (one: string) => ({ apiVersion: "v1", group: "", kind: "Secret", namespace, name: one });
      const [there, content] = [(await cluster.get(secret(name)))!, (await cluster.get(secret(other)))!];
      await cluster.delete(secret(name), { uid: there.metadata.uid! });
      const metadata = { name, namespace, labels: { "plumbline.dev/state": label } };
      await cluster.create({ ...content, metadata });
    },
    named: async (label: string): Promise<string[]> => {
      const kind = (await cluster.kindOf("v1", "Secret"))!;
      const { items } = await cluster.list(kind, { namespace, labelSelector: `plumbline.dev/state=${label}` });
      return items.filter((secret) => labelOf(secret) === label).map(({ metadata }) => metadata.name);
    },
  };
}

test("bundles and chunks that nothing points to are collected, and none that a head does", async () => {
  const { store, read, named } = await world();
  const [one, two] = [bundle("one"), bundle("two")];
  for (const [level, { slices, address }] of Object.entries({ one, two })) {
    await store.saveSlices(address, slices);
    await store.saveHead(headOf(level, { slices, address }), undefined);
  }
  // What has just been saved may be what the next write points to.
  expect(await store.collect(nobody)).toBe(0);
  expect(await store.collect(nobody)).toBe(3);
  expect([await named("chunk"), await named("slice")]).toMatchObject([{ length: 1 }, { length: 2 }]);
  const { heads, slices, problems } = await read();
  expect(problems).toEqual([]);
  expect([...slices.keys()]).toEqual([two.address]);
  expect(heads[0]!.inventory.get("/ConfigMap/shop/c-1")).toEqual(owned("two"));
});

test("a bundle that an Application runs stays, though its head does not say so yet", async () => {
  const { store, named } = await world();
  const { slices, address } = bundle("one");
  await store.saveSlices(address, slices);
  for (let hour = 0; hour < 3; hour += 1) expect(await store.collect((one) => one === address)).toBe(0);
  expect(await named("slice")).toHaveLength(2);
});

test.each([1, 2, 3, 4])(
  "an apply that a collection meets before its write %i loses neither its bundle nor its inventory",
  async (met) => {
    const { before, store, read } = await world();
    let writes = 0;
    before.create = async () => {
      writes += 1;
      if (writes === met) await store.collect(nobody);
    };
    const { slices, address } = bundle("one");
    await store.saveSlices(address, slices);
    await store.saveHead(headOf("one", { slices, address }), undefined);
    expect(writes).toBe(4);
    const { heads, slices: kept, problems } = await read();
    expect(problems).toEqual([]);
    expect(heads[0]?.inventory.size).toBe(many);
    expect(kept.get(address)).toEqual(slices);
  },
);

test("what is on its way out and is wanted again, as after a revert, is there again", async () => {
  const { before, store, read } = await world();
  const [one, two] = [bundle("one"), bundle("two")];
  for (const [level, { slices, address }] of Object.entries({ one, two })) {
    await store.saveSlices(address, slices);
    await store.saveHead(headOf(level, { slices, address }), undefined);
  }
  await store.collect(nobody);
  const reverts: Promise<void>[] = [];
  before.delete = async () => {
    if (reverts.length > 0) return;
    // Comes while the server is asked to delete it, and would be done before that is.
    await turn();
    reverts.push(store.saveHead(headOf("one", two), undefined));
    await turn();
  };
  await store.collect(nobody);
  await Promise.all(reverts);
  const { heads, problems } = await read();
  expect(problems).toEqual([]);
  expect(heads[0]?.inventory.get("/ConfigMap/shop/c-1")).toEqual(owned("one"));
});

test("what may be gone, because the answer to its deletion was lost, is made again when it is wanted", async () => {
  const { lost, store, read } = await world();
  const { slices, address } = bundle("one");
  for (const level of ["one", "two"]) await store.saveHead(headOf(level, { slices, address }), undefined);
  await store.collect(nobody);
  lost.answers = true;
  await expect(store.collect(nobody)).rejects.toThrow("the connection was lost");
  lost.answers = false;
  await store.saveHead(headOf("one", { slices, address }), undefined);
  const { heads, problems } = await read();
  expect(problems).toEqual([]);
  expect(heads[0]?.inventory.get("/ConfigMap/shop/c-1")).toEqual(owned("one"));
});

test("a changed object costs one write of the head; a hundred go into a chunk", async () => {
  const { before, store } = await world();
  const { slices, address } = bundle("one");
  const made: number[] = [];
  let writes = 0;
  before.create = async () => void (writes += 1);
  const save = async (head: Head): Promise<void> => {
    writes = 0;
    await store.saveHead(head, undefined);
    made.push(writes);
  };
  const head = headOf("one", { slices, address });
  await save(head);
  await save({ ...head, inventory: new Map([...head.inventory, ["/ConfigMap/shop/c-1", owned("two")]]) });
  await save(headOf("two", { slices, address }));
  // The chunk and the head; nothing new, for the head is replaced; another chunk.
  expect(made).toEqual([2, 0, 1]);
});

test("a chunk, or a head, with the content of another is told, and never believed", async () => {
  const { store, read, named, swap } = await world();
  const { slices, address } = bundle("one");
  await store.saveHead(headOf("one", { slices, address }), undefined);
  const [older] = await named("chunk");
  await store.saveHead(headOf("two", { slices, address }), undefined);
  const newer = (await named("chunk")).find((name) => name !== older)!;
  await swap(newer, older!, "chunk");
  const chunks = await read();
  expect(chunks.heads).toEqual([]);
  expect(chunks.lost).toEqual(["shop"]);
  expect(chunks.problems.join("\n")).toContain("is not what its name says");
  const other = { ...headOf("one", { slices, address }), application: applicationName("web") };
  await store.saveHead({ ...other, inventory: new Map() }, undefined);
  await swap("plumbline-application-shop", "plumbline-application-web", "head");
  const heads = await read();
  expect(heads.heads.map(({ application }) => application)).toEqual(["web"]);
  expect(heads.lost).toEqual(["shop"]);
  expect(heads.problems.join("\n")).toContain("is the head of web");
});

test("thousands of objects with the longest names beside the largest document: each Secret is one that Kubernetes takes", async () => {
  const { store, read, sizes } = await world();
  const largest = randomBytes(1000 * 1024);
  const hash = (): string => randomBytes(32).toString("hex");
  const names = Array.from({ length: 5_000 }, () => `/ConfigMap/shop/${randomBytes(126).toString("hex")}`);
  const inventory = (entry: () => Owned, count = names.length): Head => ({
    ...headOf("one", bundle("one")),
    inventory: new Map(names.slice(0, count).map((name) => [name, entry()])),
  });
  const pending = (): Owned => ({ ...owned(""), applied: "", uid: "", baseline: null });
  const confirmed = (): Owned => {
    const baseline = { format: 1, ownershipHash: hash(), valueHash: hash(), empty: [] };
    return { apiVersion: "v1", uid: randomUUID(), applied: hash(), baseline };
  };
  for (const head of [inventory(pending, 300), inventory(pending), inventory(confirmed)]) {
    await store.saveHead(head, largest);
    expect(Math.max(...(await sizes()))).toBeLessThanOrEqual(1024 * 1024);
    expect((await read()).heads[0]!.inventory).toEqual(head.inventory);
  }
});
