import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { sharedEmpty, type Baseline } from "#agent/drift/baseline.ts";
import type { Delivery, RunEntry } from "#proto/desired-state.ts";
import type { HighWater } from "#proto/envelope.ts";
import { applicationName, blobAddress, bundleDigest, environmentName, revision } from "#proto/ids.ts";
import type { ApplicationName, BundleDigest, EnvironmentName } from "#proto/ids.ts";
import { stringifyJson } from "#proto/json.ts";

/** One owned object. Pending: an apply was intended and its result is not known. */
export type Owned = {
  readonly apiVersion: string;
  /** Empty until an answer told it. */
  readonly uid: string;
  /** SHA-256 of the desired form that was last applied; empty before the first. */
  readonly applied: string;
  /** Null while pending. */
  readonly baseline: Baseline | null;
  /** Paths that were not applied, because a controller or an exception has them. */
  readonly yielded?: readonly string[];
  /** A Job that was seen Complete: it is not made again for the same desired form. */
  readonly done?: true;
  /** Created where it was absent, and never updated. Without a uid: it was there already, and is not ours. */
  readonly once?: true;
};

/** Objects of one Application by `refKey`. */
export type Inventory = ReadonlyMap<string, Owned>;

/** What an agent remembers of one Application: the pointer to its last good bundle, and what it owns. */
export type Head = {
  readonly application: ApplicationName;
  readonly environment: EnvironmentName;
  /** The last run entry taken; what is held or healed while nothing newer says run. Null before the first. */
  readonly run: RunEntry | null;
  /** Every wave of `run` was applied, and pruned as far as the rules allow. */
  readonly complete: boolean;
  readonly inventory: Inventory;
  readonly hooks?: HooksDone;
  /** What its hooks have made, or were about to: apiVersion by key. Deleted once no bundle has a hook of that name. */
  readonly made?: Readonly<Record<string, string>>;
  /** Of the newest document that was taken when this was saved; the document itself may lie elsewhere. */
  readonly highWater?: HighWater;
};

/** How far the hooks of one digest are. What is not known to be done is run again. */
export type HooksDone = {
  readonly digest: BundleDigest;
  /** There was nothing of the Application here before this digest, or before one that never became complete. */
  readonly install: boolean;
  /** "<phase> <key>", and for those of a Removal "<phase> <commit> <key>" */
  readonly done: readonly string[];
  /** By the same names: the uid of what failed, and why. Run again only when a person has deleted that. */
  readonly failed: Readonly<Record<string, { readonly uid: string; readonly because: string }>>;
};

type StoredRun = Omit<RunEntry, "sealedKey"> & { sealedKey: string; delivery: Delivery };
type Stored = {
  format: 1;
  application: string;
  environment: string;
  run: StoredRun | null;
  complete: boolean;
  hooks?: HooksDone;
  made?: Record<string, string>;
  highWater?: StoredWater;
  chunks: string[];
  /** Differences from the chunks; null: no longer owned. */
  changes: Record<string, Owned | null>;
};

export class UnreadableState extends Error {
  override readonly name = "UnreadableState";
}

/** Bytes of a head whose unchanged entries lie in chunks. */
export function encodeHead(head: Head, chunks: readonly string[], chunked: Inventory): Buffer {
  const changes: Record<string, Owned | null> = {};
  for (const [key, owned] of head.inventory) if (!sameOwned(chunked.get(key), owned)) changes[key] = owned;
  for (const key of chunked.keys()) if (!head.inventory.has(key)) changes[key] = null;
  const { application, environment, complete, highWater } = head;
  const run = head.run && { ...head.run, sealedKey: Buffer.from(head.run.sealedKey).toString("base64") };
  const stored: Stored = {
    format: 1,
    application,
    environment,
    run,
    complete,
    ...(head.hooks === undefined ? {} : { hooks: head.hooks }),
    ...(head.made === undefined ? {} : { made: head.made }),
    ...(highWater === undefined ? {} : { highWater: storedWater(highWater) }),
    chunks: [...chunks],
    changes,
  };
  return pack(stored);
}

/** Throws UnreadableState. `chunkOf` gives a chunk's entries by its name. */
export function decodeHead(
  bytes: Uint8Array,
  chunkOf: (name: string) => Inventory | undefined,
): Head & { chunks: readonly string[] } {
  const stored = unpack<Stored>(bytes, "head");
  if (stored.format !== 1) throw new UnreadableState(`head has format ${String(stored.format)}`);
  const { highWater } = stored;
  const inventory = new Map<string, Owned>();
  for (const name of stored.chunks) {
    const chunk = chunkOf(name);
    if (chunk === undefined) throw new UnreadableState(`inventory chunk ${name} is missing`);
    for (const [key, owned] of chunk) inventory.set(key, owned);
  }
  for (const [key, owned] of Object.entries(stored.changes)) {
    if (owned === null) inventory.delete(key);
    else inventory.set(key, owned);
  }
  return {
    application: applicationName(stored.application),
    environment: environmentName(stored.environment),
    run: stored.run && runOf(stored.run),
    complete: stored.complete,
    chunks: stored.chunks,
    inventory,
    ...(stored.hooks === undefined ? {} : { hooks: stored.hooks }),
    ...(stored.made === undefined ? {} : { made: stored.made }),
    ...(highWater === undefined ? {} : { highWater: waterOf(highWater) }),
  };
}

/** What lies beside a head, in case that is lost: hooks, and which document was the newest when the last one was done. */
export type KeptHooks = { readonly hooks: HooksDone; readonly highWater?: HighWater };
type StoredHooks = { hooks: HooksDone; highWater?: StoredWater };

export const encodeHooks = ({ hooks, highWater }: KeptHooks): Buffer =>
  pack({ hooks, ...(highWater === undefined ? {} : { highWater: storedWater(highWater) }) } satisfies StoredHooks);

export function decodeHooks(bytes: Uint8Array): KeptHooks {
  const { hooks, highWater } = unpack<StoredHooks>(bytes, "record of hooks");
  return { hooks, ...(highWater === undefined ? {} : { highWater: waterOf(highWater) }) };
}

type StoredWater = Omit<HighWater, "generation"> & { generation: string };
const storedWater = (water: HighWater): StoredWater => ({ ...water, generation: String(water.generation) });
const waterOf = (stored: StoredWater): HighWater => ({ ...stored, generation: BigInt(stored.generation) });

export const encodeChunk = (entries: Iterable<readonly [string, Owned]>): Buffer => pack(Object.fromEntries(entries));

export function decodeChunk(bytes: Uint8Array): Inventory {
  const entries = Object.entries(unpack<Record<string, Owned>>(bytes, "inventory chunk"));
  return new Map(entries.map(([key, owned]) => [key, sparing(owned)]));
}

/** The same entry, sharing what thousands have in common. */
function sparing(owned: Owned): Owned {
  const { baseline } = owned;
  if (baseline === null) return owned;
  return { ...owned, baseline: { ...baseline, empty: sharedEmpty(baseline.empty) } };
}

export const sameOwned = (a: Owned | undefined, b: Owned | undefined): boolean =>
  a === b ||
  (a !== undefined &&
    b !== undefined &&
    a.apiVersion === b.apiVersion &&
    a.uid === b.uid &&
    a.applied === b.applied &&
    a.baseline?.ownershipHash === b.baseline?.ownershipHash &&
    a.baseline?.valueHash === b.baseline?.valueHash &&
    a.baseline?.format === b.baseline?.format &&
    a.done === b.done &&
    a.once === b.once &&
    (a.yielded ?? []).join() === (b.yielded ?? []).join());

function runOf(stored: StoredRun): RunEntry {
  return {
    ...stored,
    application: applicationName(stored.application),
    environment: environmentName(stored.environment),
    revision: revision(stored.revision),
    digest: bundleDigest(stored.digest),
    address: blobAddress(stored.address),
    sealedKey: Buffer.from(stored.sealedKey, "base64"),
  };
}

// Its checksum makes a byte that was changed by hand an error, and never another object's name or uid.
const pack = (value: unknown): Buffer =>
  zstdCompressSync(stringifyJson(value), { params: { [constants.ZSTD_c_checksumFlag]: 1 } });

function unpack<T>(bytes: Uint8Array, what: string): T {
  try {
    return JSON.parse(zstdDecompressSync(bytes).toString("utf8")) as T;
  } catch (cause) {
    throw new UnreadableState(`stored ${what} cannot be read`, { cause });
  }
}
