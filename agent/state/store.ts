import type { Cluster, KindInfo } from "#agent/cluster/cluster.ts";
import type { ApplicationName, BlobAddress } from "#proto/ids.ts";
import type { KubeObject } from "#proto/object.ts";
import { createCollector } from "./collector.ts";
import { encodeChunk, encodeHead, encodeHooks, sameOwned } from "./head.ts";
import type { Head, Inventory, KeptHooks, Owned } from "./head.ts";
import {
  addressNote,
  addressOfSlice,
  chunkName,
  headName,
  hooksName,
  labelOf,
  readSecrets,
  sliceNote,
} from "./read.ts";
import { createOnce, dataOf, deleteSecret, replaceOrCreate, secretOf, stateLabel } from "./secrets.ts";

/** Past so many changed entries a head would grow with the Application; they move into a chunk. */
const inlineEntries = 64;
/** 2,000 entries pack to about 300 KB, with the longest names to 400, well under a Secret's 1 MiB. */
const chunkEntries = 2_000;
/** What Kubernetes lets a Secret hold. A head that has no room beside its document leaves all entries to chunks, the pending ones too. */
const secretBytes = 1024 * 1024;

export type Loaded = {
  readonly heads: readonly Head[];
  /** Applications whose heads are there and cannot be read: what they own is not known. */
  readonly lost: readonly ApplicationName[];
  /** The newest document taken, by each place that holds one. */
  readonly envelopes: readonly Uint8Array[];
  readonly slices: ReadonlyMap<BlobAddress, readonly Uint8Array[]>;
  /** How far hooks are, for Applications whose heads were lost. */
  readonly hooks: ReadonlyMap<ApplicationName, KeptHooks>;
  /** What could not be read, a sentence each. */
  readonly problems: readonly string[];
};

/** The agent's memory: Secrets in its own namespace. A head is replaced under its resourceVersion: the only commit point. */
export type StateStore = {
  load(signal?: AbortSignal): Promise<Loaded>;
  /** Looks which chunks and slices are still there: somebody deleted some, or the server went back in time. */
  recheck(signal?: AbortSignal): Promise<void>;
  /** This one cannot be used: no head is written with it again. */
  dropEnvelope(envelope: Uint8Array): void;
  /** Before the head that points to them. Those that are stored already cost nothing. */
  saveSlices(address: BlobAddress, slices: readonly Uint8Array[], signal?: AbortSignal): Promise<void>;
  /**
   * `envelope`: the document from which this head follows, when it is newer than what is stored. `slices`: what it points to
   * is on its way; the head is made ready meanwhile, and written after.
   */
  saveHead(head: Head, envelope: Uint8Array | undefined, signal?: AbortSignal, slices?: Promise<void>): Promise<void>;
  /** Beside the head, which may be lost: a hook that was done is not to be run again for that. */
  saveHooks(application: ApplicationName, kept: KeptHooks, signal?: AbortSignal): Promise<void>;
  removeHead(application: ApplicationName, signal?: AbortSignal): Promise<void>;
  /** A document that changed no head. */
  saveEnvelope(envelope: Uint8Array, signal?: AbortSignal): Promise<void>;
  /**
   * Deletes slices and chunks that nothing points to: no stored head, and not `isInUse`, which is asked before each deletion.
   * What was saved since the last collection stays until the next: the head that points to it may be on its way.
   */
  collect(isInUse: (address: BlobAddress) => boolean, signal?: AbortSignal): Promise<number>;
};

type Kept = {
  resourceVersion: string;
  uid: string;
  envelope: string;
  /** Of the bundle that the stored head points to. */
  address: BlobAddress | undefined;
  chunks: readonly string[];
  chunked: Inventory;
};

export function openState(cluster: Cluster, namespace: string): StateStore {
  const heads = new Map<string, Kept>();
  const chunkUids = new Map<string, { uid: string }>();
  const sliceUids = new Map<string, { uid: string; address: BlobAddress }>();
  const hookSecrets = new Map<string, { resourceVersion: string; uid: string }>();
  const collector = createCollector(cluster, namespace);
  let document: Kept | undefined;
  let isMeddled = false;

  const write = async (
    name: string,
    label: string,
    data: Record<string, string>,
    known: { resourceVersion: string } | undefined,
    signal?: AbortSignal,
  ): Promise<{ resourceVersion: string; uid: string }> => {
    const secret = secretOf(namespace, name, label, data);
    const stored = await replaceOrCreate(cluster, secret, known?.resourceVersion, signal, () => (isMeddled = true));
    return { resourceVersion: stored.metadata.resourceVersion ?? "", uid: stored.metadata.uid ?? "" };
  };

  const saveChunks = async (inventory: Inventory, signal?: AbortSignal): Promise<string[]> => {
    const names: string[] = [];
    const entries = [...inventory];
    for (let from = 0; from < entries.length; from += chunkEntries) {
      const bytes = encodeChunk(entries.slice(from, from + chunkEntries));
      const name = chunkName(bytes);
      names.push(name);
      await collector.spare(name);
      if (chunkUids.has(name)) continue;
      const data = { chunk: bytes.toString("base64") };
      chunkUids.set(name, { uid: await createOnce(cluster, secretOf(namespace, name, "chunk", data, true), signal) });
    }
    return names;
  };

  const list = async (signal?: AbortSignal): Promise<KubeObject[]> => {
    const kind = (await cluster.kindOf("v1", "Secret", signal)) as KindInfo;
    const either = signal === undefined ? {} : { signal };
    return (await cluster.list(kind, { namespace, labelSelector: stateLabel, ...either })).items;
  };

  /** What is not sound is as if it were not there: it is made anew when it is needed. */
  const know = (items: readonly KubeObject[], sound: ReadonlySet<string>): void => {
    chunkUids.clear();
    sliceUids.clear();
    for (const secret of items) {
      const { name, uid = "" } = secret.metadata;
      if (!sound.has(name)) continue;
      if (labelOf(secret) === "chunk") chunkUids.set(name, { uid });
      if (labelOf(secret) === "slice") sliceUids.set(name, { uid, address: addressOfSlice(secret) });
    }
  };

  const recheck = async (signal?: AbortSignal): Promise<void> => {
    isMeddled = false;
    const items = await list(signal);
    know(items, readSecrets(items).sound);
    const found = items.find((secret) => labelOf(secret) === "document");
    document = found && keptOf(found);
    for (const [application, kept] of heads)
      if (!kept.chunks.every((name) => chunkUids.has(name)))
        heads.set(application, { ...kept, chunks: [], chunked: new Map() });
  };

  const saveHead: StateStore["saveHead"] = async (head, envelope, signal, slices) => {
    const kept = heads.get(head.application);
    let { chunks, chunked } = kept ?? { chunks: [], chunked: new Map<string, Owned>() };
    if (heavyChanges(head.inventory, chunked) > inlineEntries) {
      chunks = await saveChunks(head.inventory, signal);
      chunked = head.inventory;
    }
    const newest = envelope === undefined ? (kept?.envelope ?? "") : Buffer.from(envelope).toString("base64");
    let encoded = encodeHead(head, chunks, chunked);
    if (encoded.length + Buffer.byteLength(newest, "base64") > secretBytes && chunked !== head.inventory) {
      chunks = await saveChunks(head.inventory, signal);
      chunked = head.inventory;
      encoded = encodeHead(head, chunks, chunked);
    }
    const data = { head: encoded.toString("base64"), envelope: newest };
    await slices;
    const stored = await write(headName(head.application), "head", data, kept, signal);
    const address = head.run?.address;
    heads.set(head.application, { ...stored, envelope: newest, address, chunks, chunked: new Map(chunked) });
  };

  return {
    async load(signal) {
      const items = await list(signal);
      const read = readSecrets(items);
      know(items, read.sound);
      for (const secret of items) if (labelOf(secret) === "document") document = keptOf(secret);
      for (const { metadata } of items.filter((secret) => labelOf(secret) === "hooks"))
        hookSecrets.set(metadata.name, { resourceVersion: metadata.resourceVersion ?? "", uid: metadata.uid ?? "" });
      for (const { secret, chunks, chunked, head } of read.heads)
        heads.set(head.application, { ...keptOf(secret), address: head.run?.address, chunks, chunked });
      return {
        heads: read.heads.map(({ head }) => head),
        lost: read.lost,
        envelopes: items.flatMap((secret) => {
          const envelope = dataOf(secret)["envelope"];
          return envelope === undefined || envelope === "" ? [] : [Buffer.from(envelope, "base64")];
        }),
        slices: read.slices,
        hooks: read.hooks,
        problems: read.problems,
      };
    },
    recheck,
    dropEnvelope(envelope) {
      const text = Buffer.from(envelope).toString("base64");
      for (const [application, kept] of heads)
        if (kept.envelope === text) heads.set(application, { ...kept, envelope: "" });
    },
    async saveSlices(address, slices, signal) {
      for (const [n, slice] of slices.entries()) {
        const name = `plumbline-bundle-${address.slice(0, 32)}-${n}`;
        await collector.spare(name);
        if (sliceUids.has(name)) continue;
        const secret = secretOf(namespace, name, "slice", { slice: Buffer.from(slice).toString("base64") }, true);
        secret.metadata.annotations = { [addressNote]: address, [sliceNote]: String(n) };
        sliceUids.set(name, { uid: await createOnce(cluster, secret, signal), address });
      }
    },
    async saveHead(head, envelope, signal, slices) {
      await saveHead(head, envelope, signal, slices);
      if (!isMeddled) return;
      // Whoever took the head away may have taken what it points to.
      await recheck(signal);
      await saveHead(head, envelope, signal);
    },
    async saveHooks(application, kept, signal) {
      const name = hooksName(application);
      const data = { hooks: encodeHooks(kept).toString("base64") };
      hookSecrets.set(name, await write(name, "hooks", data, hookSecrets.get(name), signal));
    },
    async removeHead(application, signal) {
      // First: what is left of it must not say of a later life of this Application that its hooks are done.
      const hooks = hookSecrets.get(hooksName(application));
      if (hooks !== undefined) await deleteSecret(cluster, namespace, hooksName(application), hooks.uid, signal);
      hookSecrets.delete(hooksName(application));
      const kept = heads.get(application);
      if (kept === undefined) return;
      await deleteSecret(cluster, namespace, headName(application), kept.uid, signal);
      heads.delete(application);
    },
    async saveEnvelope(envelope, signal) {
      const text = Buffer.from(envelope).toString("base64");
      if (document?.envelope === text) return;
      const stored = await write("plumbline-document", "document", { envelope: text }, document, signal);
      document = { ...noHead, ...stored, envelope: text };
    },
    async collect(isInUse, signal) {
      const someHead = (pointsTo: (kept: Kept) => boolean): boolean => [...heads.values()].some(pointsTo);
      collector.begin();
      const chunks = await collector.sweep(chunkUids, (name) => someHead((kept) => kept.chunks.includes(name)), signal);
      const isSliceKept = (_name: string, { address }: { address: BlobAddress }): boolean =>
        isInUse(address) || someHead((kept) => kept.address === address);
      return chunks + (await collector.sweep(sliceUids, isSliceKept, signal));
    },
  };
}

// Pending entries are a few bytes; what weighs is hashes.
function heavyChanges(inventory: Inventory, chunked: Inventory): number {
  let changes = 0;
  for (const [key, owned] of inventory)
    if (owned.baseline !== null && !sameOwned(chunked.get(key), owned)) changes += 1;
  return changes;
}

const noHead = { address: undefined, chunks: [], chunked: new Map<string, Owned>() } as const;

const keptOf = (secret: KubeObject): Kept => ({
  ...noHead,
  resourceVersion: secret.metadata.resourceVersion ?? "",
  uid: secret.metadata.uid ?? "",
  envelope: dataOf(secret)["envelope"] ?? "",
});
