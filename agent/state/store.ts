import type { Cluster, KindInfo } from "#agent/cluster/cluster.ts";
import type { ApplicationName, BlobAddress } from "#proto/ids.ts";
import { sha256Hex } from "#proto/json.ts";
import type { KubeObject } from "#proto/object.ts";
import {
  decodeChunk,
  decodeHead,
  encodeChunk,
  encodeHead,
  sameOwned,
  UnreadableState,
  type Head,
  type Inventory,
  type Owned,
} from "./head.ts";
import { createOnce, dataOf, deleteSecret, replaceOrCreate, secretOf, stateLabel } from "./secrets.ts";

/** Past so many changed entries a head would grow with the Application; they move into a chunk. */
const inlineEntries = 64;
/** 2,000 entries pack to about 300 KB, well under a Secret's 1 MiB. */
const chunkEntries = 2_000;

export type Loaded = {
  readonly heads: readonly Head[];
  /** The newest document taken, by each place that holds one. */
  readonly envelopes: readonly Uint8Array[];
  readonly slices: ReadonlyMap<BlobAddress, readonly Uint8Array[]>;
  /** What could not be read, a sentence each. */
  readonly problems: readonly string[];
};

/** The agent's memory: Secrets in its own namespace. A head is replaced under its resourceVersion: the only commit point. */
export type StateStore = {
  load(signal?: AbortSignal): Promise<Loaded>;
  /** Before the head that points to them. */
  saveSlices(address: BlobAddress, slices: readonly Uint8Array[], signal?: AbortSignal): Promise<void>;
  /** `envelope`: the document from which this head follows, when it is newer than what is stored. */
  saveHead(head: Head, envelope: Uint8Array | undefined, signal?: AbortSignal): Promise<void>;
  removeHead(application: ApplicationName, signal?: AbortSignal): Promise<void>;
  /** A document that changed no head. */
  saveEnvelope(envelope: Uint8Array, signal?: AbortSignal): Promise<void>;
  /** Deletes slices and chunks that nothing points to. */
  collect(inUse: ReadonlySet<BlobAddress>, signal?: AbortSignal): Promise<number>;
};

type Kept = { resourceVersion: string; uid: string; envelope: string; chunks: readonly string[]; chunked: Inventory };

export function openState(cluster: Cluster, namespace: string): StateStore {
  const heads = new Map<string, Kept>();
  const chunkUids = new Map<string, string>();
  const sliceUids = new Map<string, { uid: string; address: BlobAddress }>();
  let document: Kept | undefined;

  const write = async (
    name: string,
    label: string,
    data: Record<string, string>,
    known: { resourceVersion: string } | undefined,
    signal?: AbortSignal,
  ): Promise<{ resourceVersion: string; uid: string }> => {
    const secret = secretOf(namespace, name, label, data);
    const stored = await replaceOrCreate(cluster, secret, known?.resourceVersion, signal);
    return { resourceVersion: stored.metadata.resourceVersion ?? "", uid: stored.metadata.uid ?? "" };
  };

  const saveChunks = async (inventory: Inventory, signal?: AbortSignal): Promise<string[]> => {
    const names: string[] = [];
    const entries = [...inventory];
    for (let from = 0; from < entries.length; from += chunkEntries) {
      const bytes = encodeChunk(entries.slice(from, from + chunkEntries));
      const name = `plumbline-inventory-${sha256Hex(bytes).slice(0, 32)}`;
      names.push(name);
      if (chunkUids.has(name)) continue;
      const data = { chunk: bytes.toString("base64") };
      chunkUids.set(name, await createOnce(cluster, secretOf(namespace, name, "chunk", data, true), signal));
    }
    return names;
  };

  return {
    async load(signal) {
      const kind = (await cluster.kindOf("v1", "Secret", signal)) as KindInfo;
      const { items } = await cluster.list(kind, {
        namespace,
        labelSelector: stateLabel,
        ...(signal === undefined ? {} : { signal }),
      });
      const loaded = readSecrets(items);
      for (const secret of items) {
        const { name, uid = "" } = secret.metadata;
        if (labelOf(secret) === "chunk") chunkUids.set(name, uid);
        if (labelOf(secret) === "slice")
          sliceUids.set(name, { uid, address: (secret.metadata.annotations?.[addressNote] ?? "") as BlobAddress });
        if (labelOf(secret) === "document") document = keptOf(secret, [], new Map());
      }
      for (const { secret, chunks, chunked, head } of loaded.heads)
        heads.set(head.application, keptOf(secret, chunks, chunked));
      return {
        heads: loaded.heads.map(({ head }) => head),
        envelopes: [...items].flatMap((secret) => {
          const envelope = dataOf(secret)["envelope"];
          return envelope === undefined ? [] : [Buffer.from(envelope, "base64")];
        }),
        slices: loaded.slices,
        problems: loaded.problems,
      };
    },
    async saveSlices(address, slices, signal) {
      for (const [n, slice] of slices.entries()) {
        const name = `plumbline-bundle-${address.slice(0, 32)}-${n}`;
        if (sliceUids.has(name)) continue;
        const secret = secretOf(namespace, name, "slice", { slice: Buffer.from(slice).toString("base64") }, true);
        secret.metadata.annotations = { [addressNote]: address, [sliceNote]: String(n) };
        sliceUids.set(name, { uid: await createOnce(cluster, secret, signal), address });
      }
    },
    async saveHead(head, envelope, signal) {
      const kept = heads.get(head.application);
      let { chunks, chunked } = kept ?? { chunks: [], chunked: new Map<string, Owned>() };
      if (heavyChanges(head.inventory, chunked) > inlineEntries) {
        chunks = await saveChunks(head.inventory, signal);
        chunked = head.inventory;
      }
      const newest = envelope === undefined ? (kept?.envelope ?? "") : Buffer.from(envelope).toString("base64");
      const data = { head: encodeHead(head, chunks, chunked).toString("base64"), envelope: newest };
      const stored = await write(headName(head.application), "head", data, kept, signal);
      heads.set(head.application, { ...stored, envelope: newest, chunks, chunked: new Map(chunked) });
    },
    async removeHead(application, signal) {
      const kept = heads.get(application);
      if (kept === undefined) return;
      await deleteSecret(cluster, namespace, headName(application), kept.uid, signal);
      heads.delete(application);
    },
    async saveEnvelope(envelope, signal) {
      const text = Buffer.from(envelope).toString("base64");
      const stored = await write("plumbline-document", "document", { envelope: text }, document, signal);
      document = { ...stored, envelope: text, chunks: [], chunked: new Map() };
    },
    async collect(inUse, signal) {
      const chunksInUse = new Set([...heads.values()].flatMap(({ chunks }) => chunks));
      let collected = 0;
      for (const [name, uid] of chunkUids) {
        if (chunksInUse.has(name)) continue;
        await deleteSecret(cluster, namespace, name, uid, signal);
        chunkUids.delete(name);
        collected += 1;
      }
      for (const [name, { uid, address }] of sliceUids) {
        if (inUse.has(address)) continue;
        await deleteSecret(cluster, namespace, name, uid, signal);
        sliceUids.delete(name);
        collected += 1;
      }
      return collected;
    },
  };
}

const addressNote = "plumbline.dev/address";
const sliceNote = "plumbline.dev/slice";
const headName = (application: string): string => `plumbline-application-${application}`;
const labelOf = (secret: KubeObject): string | undefined => secret.metadata.labels?.[stateLabel];

// Pending entries are a few bytes; what weighs is hashes.
function heavyChanges(inventory: Inventory, chunked: Inventory): number {
  let changes = 0;
  for (const [key, owned] of inventory)
    if (owned.baseline !== null && !sameOwned(chunked.get(key), owned)) changes += 1;
  return changes;
}

const keptOf = (secret: KubeObject, chunks: readonly string[], chunked: Inventory): Kept => ({
  resourceVersion: secret.metadata.resourceVersion ?? "",
  uid: secret.metadata.uid ?? "",
  envelope: dataOf(secret)["envelope"] ?? "",
  chunks,
  chunked,
});

function readSecrets(items: readonly KubeObject[]) {
  const problems: string[] = [];
  const chunks = new Map<string, Inventory>();
  const slices = new Map<BlobAddress, Uint8Array[]>();
  const attempt = (secret: KubeObject, read: () => void): void => {
    try {
      read();
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      problems.push(`Secret ${secret.metadata.name}: ${error.message}`);
    }
  };
  for (const secret of items) {
    const bytes = (field: string): Buffer => {
      const text = dataOf(secret)[field];
      if (text === undefined) throw new UnreadableState(`has no ${field}`);
      return Buffer.from(text, "base64");
    };
    if (labelOf(secret) === "chunk")
      attempt(secret, () => chunks.set(secret.metadata.name, decodeChunk(bytes("chunk"))));
    if (labelOf(secret) !== "slice") continue;
    attempt(secret, () => {
      const address = (secret.metadata.annotations?.[addressNote] ?? "") as BlobAddress;
      const all = slices.get(address) ?? [];
      all[Number(secret.metadata.annotations?.[sliceNote])] = bytes("slice");
      slices.set(address, all);
    });
  }
  const heads: { head: Head; secret: KubeObject; chunks: readonly string[]; chunked: Inventory }[] = [];
  for (const secret of items.filter((item) => labelOf(item) === "head"))
    attempt(secret, () => {
      const { chunks: names, ...head } = decodeHead(Buffer.from(dataOf(secret)["head"] ?? "", "base64"), (name) =>
        chunks.get(name),
      );
      const chunked = new Map(names.flatMap((name) => [...(chunks.get(name) ?? [])]));
      heads.push({ head, secret, chunks: names, chunked });
    });
  return { heads, slices, problems };
}
