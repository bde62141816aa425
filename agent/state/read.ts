import { addressOf } from "#proto/bundle.ts";
import { applicationName, type ApplicationName, type BlobAddress } from "#proto/ids.ts";
import { sha256Hex } from "#proto/json.ts";
import type { KubeObject } from "#proto/object.ts";
import { decodeChunk, decodeHead, decodeHooks, UnreadableState } from "./head.ts";
import type { Head, Inventory, KeptHooks } from "./head.ts";
import { dataOf, stateLabel } from "./secrets.ts";

export const addressNote = "plumbline.dev/address";
export const sliceNote = "plumbline.dev/slice";
const headPrefix = "plumbline-application-";
export const headName = (application: string): string => `${headPrefix}${application}`;
const hooksPrefix = "plumbline-hooks-";
export const hooksName = (application: string): string => `${hooksPrefix}${application}`;
/** Content-addressed. */
export const chunkName = (bytes: Uint8Array): string => `plumbline-inventory-${sha256Hex(bytes).slice(0, 32)}`;
export const labelOf = (secret: KubeObject): string | undefined => secret.metadata.labels?.[stateLabel];
export const addressOfSlice = (secret: KubeObject): BlobAddress =>
  (secret.metadata.annotations?.[addressNote] ?? "") as BlobAddress;

export type ReadHead = {
  readonly head: Head;
  readonly secret: KubeObject;
  readonly chunks: readonly string[];
  readonly chunked: Inventory;
};

export type Read = {
  readonly heads: readonly ReadHead[];
  /** Whose heads are there and cannot be read. */
  readonly lost: readonly ApplicationName[];
  readonly slices: ReadonlyMap<BlobAddress, readonly Uint8Array[]>;
  /** How far hooks are, besides what heads say of it. */
  readonly hooks: ReadonlyMap<ApplicationName, KeptHooks>;
  /** Chunks and slices that hold what their names say. */
  readonly sound: ReadonlySet<string>;
  /** What could not be read, a sentence each. */
  readonly problems: readonly string[];
};

/** Everything that the Secrets of an agent's memory hold; what somebody damaged is told, and never half believed. */
export function readSecrets(items: readonly KubeObject[]): Read {
  const problems: string[] = [];
  const attempt = (secret: KubeObject, read: () => void): boolean => {
    try {
      read();
      return true;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      problems.push(`Secret ${secret.metadata.name}: ${error.message}`);
      return false;
    }
  };
  const labelled = (label: string): KubeObject[] => items.filter((item) => labelOf(item) === label);
  const chunks = new Map<string, Inventory>();
  for (const secret of labelled("chunk")) attempt(secret, () => void chunks.set(secret.metadata.name, chunkOf(secret)));
  const slices = new Map<BlobAddress, readonly Uint8Array[]>();
  const sound = new Set(chunks.keys());
  for (const [address, parts] of Map.groupBy(labelled("slice"), addressOfSlice))
    attempt(parts[0]!, () => {
      slices.set(address, slicesOf(address, parts));
      for (const { metadata } of parts) sound.add(metadata.name);
    });
  const heads: ReadHead[] = [];
  const lost: ApplicationName[] = [];
  for (const secret of labelled("head")) {
    const isRead = attempt(secret, () => void heads.push(headOf(secret, chunks)));
    if (!isRead) attempt(secret, () => void lost.push(applicationName(secret.metadata.name.slice(headPrefix.length))));
  }
  const hooks = new Map<ApplicationName, KeptHooks>();
  for (const secret of labelled("hooks"))
    attempt(secret, () => {
      const name = applicationName(secret.metadata.name.slice(hooksPrefix.length));
      hooks.set(name, decodeHooks(bytesOf(secret, "hooks")));
    });
  return { heads, lost, slices, hooks, sound, problems };
}

function chunkOf(secret: KubeObject): Inventory {
  const bytes = bytesOf(secret, "chunk");
  if (chunkName(bytes) !== secret.metadata.name) throw new UnreadableState("is not what its name says");
  return decodeChunk(bytes);
}

function slicesOf(address: BlobAddress, parts: readonly KubeObject[]): Uint8Array[] {
  const numbered = parts.map((part) => ({ part, n: Number(part.metadata.annotations?.[sliceNote]) }));
  const slices = numbered.sort((a, b) => a.n - b.n).map(({ part }) => bytesOf(part, "slice"));
  if (addressOf(slices) !== address) throw new UnreadableState("and those beside it are not the bundle that they were");
  return slices;
}

function headOf(secret: KubeObject, chunks: ReadonlyMap<string, Inventory>): ReadHead {
  const { chunks: names, ...head } = decodeHead(bytesOf(secret, "head"), (name) => chunks.get(name));
  if (headName(head.application) !== secret.metadata.name)
    throw new UnreadableState(`is the head of ${head.application}`);
  const chunked = new Map(names.flatMap((name) => [...(chunks.get(name) ?? [])]));
  return { head, secret, chunks: names, chunked };
}

function bytesOf(secret: KubeObject, field: string): Buffer {
  const text = dataOf(secret)[field];
  if (text === undefined) throw new UnreadableState(`has no ${field}`);
  return Buffer.from(text, "base64");
}
