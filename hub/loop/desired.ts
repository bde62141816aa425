import { keyOf, type DecidedEntry, type SignedEntry } from "#hub/decide/inputs.ts";
import type { ClusterRecord } from "#hub/decide/record.ts";
import type { Sealed } from "#hub/loop/renders.ts";
import {
  compareOrder,
  type DesiredState,
  type Entry,
  type EntryKey,
  type HealthRule,
  type RunEntry,
} from "#proto/desired-state.ts";
import { semanticHash, signDesiredState, verifyDesiredState, type Signer } from "#proto/envelope.ts";
import type { BlobAddress, BundleDigest, ClusterId, Revision } from "#proto/ids.ts";
import { describeRef, parseRefKey } from "#proto/object.ts";
import { sealKey } from "#proto/sealed-key.ts";

/** The newest document of one cluster that verifies. */
export type Known = { readonly bytes: Uint8Array; readonly state: DesiredState };

/** A document to be sent. */
export type Draft = { readonly cluster: ClusterId; readonly envelope: Uint8Array; readonly state: DesiredState };

export type Position = { readonly fleetCommit: Revision; readonly recordCommit: Revision | "" };

/** What each cluster was last given, and the next document wherever that is something else. */
export class DesiredStates {
  readonly #known = new Map<ClusterId, Known>();
  /** Clusters that said they have nothing, while nothing is known of them. */
  readonly #empty = new Set<ClusterId>();
  /** Clusters whose documents were learned and not yet compared with Git. */
  readonly #unjudged = new Set<ClusterId>();
  /** Revisions that gave the signed digest too, by cluster and entry: the receipts of the one prove the other. */
  readonly #sameDigest = new Map<string, Revision>();
  /** Named by documents, and nowhere any more. */
  readonly #lost = new Set<BlobAddress>();
  readonly #signer: Signer;
  readonly #rootKey: Uint8Array;
  readonly #epoch: number;

  constructor(identity: { documentSigner: Signer; rootKey: Uint8Array; epoch: number }) {
    this.#signer = identity.documentSigner;
    this.#rootKey = identity.rootKey;
    this.#epoch = identity.epoch;
  }

  /** Takes a document from the stream or from an agent's Hello, if it verifies and is newer than what is known. */
  learn(cluster: ClusterId, bytes: Uint8Array): "newer" | "known" | "refused" {
    const known = this.#known.get(cluster);
    // A returning agent shows what the stream has shown already, byte for byte: those bytes were verified.
    if (known !== undefined && Buffer.compare(known.bytes, bytes) === 0) return "known";
    const verdict = verifyDesiredState(bytes, { rootKey: this.#rootKey, cluster, now: 0, isStored: true });
    if (!verdict.ok) return "refused";
    if (known !== undefined && compareOrder(verdict.state, known.state) <= 0) return "known";
    this.#known.set(cluster, { bytes, state: verdict.state });
    this.#empty.delete(cluster);
    this.#unjudged.add(cluster);
    return "newer";
  }

  /** The cluster's agent has no document. */
  learnEmpty(cluster: ClusterId): void {
    if (!this.#known.has(cluster)) this.#empty.add(cluster);
  }

  /** This blob is lost, and its rendering gives another one of the same digest: documents shall name that. */
  lose(address: BlobAddress): void {
    this.#lost.add(address);
  }

  known(cluster: ClusterId): Known | undefined {
    return this.#known.get(cluster);
  }

  /** Whether it is known what this cluster was given last, if anything. */
  has(cluster: ClusterId): boolean {
    return this.#known.has(cluster) || this.#empty.has(cluster);
  }

  unjudged(): ReadonlySet<ClusterId> {
    return this.#unjudged;
  }

  judged(clusters: Iterable<ClusterId>): void {
    for (const cluster of clusters) this.#unjudged.delete(cluster);
  }

  all(): ReadonlyMap<ClusterId, Known> {
    return this.#known;
  }

  /** The blobs that agents may be asked to fetch. */
  addresses(): Set<BlobAddress> {
    const addresses = new Set<BlobAddress>();
    for (const { state } of this.#known.values())
      for (const entry of state.entries) if (entry.kind === "run") addresses.add(entry.address);
    return addresses;
  }

  /** What decisions start from. */
  signed(): Map<ClusterId, readonly SignedEntry[]> {
    const signed = new Map<ClusterId, readonly SignedEntry[]>([...this.#empty].map((cluster) => [cluster, []]));
    for (const [cluster, { state }] of this.#known)
      signed.set(
        cluster,
        state.entries.map((entry) => this.#withRevision(cluster, entry)),
      );
    return signed;
  }

  /** Milliseconds since 1970 of the newest document known. */
  newestIssuedAtMs(): number {
    return Math.max(0, ...[...this.#known.values()].map(({ state }) => state.issuedAtMs));
  }

  /** The document that a decision asks for; undefined when the cluster has it already, in all that matters. */
  draft(
    cluster: ClusterId,
    decided: readonly DecidedEntry[],
    record: ClusterRecord,
    sealed: (digest: BundleDigest) => Sealed | undefined,
    position: Position,
    nowMs: number,
    rulesOf: (known: readonly HealthRule[]) => readonly HealthRule[],
  ): Draft | undefined {
    const known = this.#known.get(cluster);
    const before = new Map((known?.state.entries ?? []).map((entry) => [keyOf(entry), entry]));
    const isLost = (address: BlobAddress): boolean => this.#lost.has(address);
    const filled = decided.map((entry) => fill(entry, before.get(keyOf(entry)), cluster, record, sealed, isLost));
    const entries = refuseShared(filled, before, sealed);
    for (const entry of entries) this.#noteRevision(cluster, entry, before.get(keyOf(entry)));
    const healthRules = rulesOf(known?.state.healthRules ?? []);
    const isMoved = entries.some((entry) => {
      const last = before.get(keyOf(entry));
      return entry.kind === "run" && last?.kind === "run" && isLost(last.address) && entry.address !== last.address;
    });
    if (known !== undefined && !isMoved && meaningOf(known.state) === meaningOf({ entries, healthRules }))
      return undefined;
    if (known === undefined && entries.length === 0) return undefined;
    const last = known?.state.generation ?? 0n;
    const now = BigInt(nowMs);
    const generation = now > last ? now : last + 1n;
    const state = { cluster, epoch: this.#epoch, generation, ...position, issuedAtMs: nowMs, entries, healthRules };
    return { cluster, state, envelope: signDesiredState(state, this.#signer) };
  }

  /** The broker has it. */
  published({ cluster, envelope, state }: Draft): void {
    this.#known.set(cluster, { bytes: envelope, state });
    this.#empty.delete(cluster);
  }

  #noteRevision(cluster: ClusterId, entry: Entry, before: Entry | undefined): void {
    const key = `${cluster}/${keyOf(entry)}`;
    if (entry.kind === "run" && before?.kind === "run" && before.digest === entry.digest)
      this.#sameDigest.set(key, entry.revision);
    else this.#sameDigest.delete(key);
  }

  #withRevision(cluster: ClusterId, entry: Entry): SignedEntry {
    if (entry.kind !== "run") return entry;
    const { kind, application, environment, revision, digest, delivery, inputs } = entry;
    const same = this.#sameDigest.get(`${cluster}/${keyOf(entry)}`);
    const known = { kind, application, environment, digest, delivery, ...(inputs !== undefined && { inputs }) };
    return same === undefined || same === revision
      ? { ...known, revision }
      : { ...known, revision: same, signedAs: revision };
  }
}

const meaningOf = ({ entries, healthRules }: Pick<DesiredState, "entries" | "healthRules">): string =>
  semanticHash(entries, healthRules);

/** A decided entry with what follows from its digest: from this hub's own rendering, or from the document before. */
function fill(
  entry: DecidedEntry,
  before: Entry | undefined,
  cluster: ClusterId,
  record: ClusterRecord,
  sealed: (digest: BundleDigest) => Sealed | undefined,
  isLost: (address: BlobAddress) => boolean,
): Entry {
  if (entry.kind !== "run") return entry;
  const isAtHand = before?.kind === "run" && !(isLost(before.address) && sealed(entry.digest) !== undefined);
  if (before?.kind === "run" && before.digest === entry.digest && isAtHand) {
    const { address, slices, objects, sealedKey } = before;
    return { ...entry, address, slices, objects, sealedKey };
  }
  const bundle = sealed(entry.digest);
  if (bundle === undefined)
    return before ?? { ...keyParts(entry), kind: "hold", because: "its bundle is not at hand; it is rendered again" };
  const { address, slices, objects, contentKey, digest } = bundle;
  const sealedKey = sealKey(contentKey, Buffer.from(record.sealingKey, "base64"), { cluster, digest });
  return { ...entry, address, slices, objects, sealedKey };
}

/** No object may be in two Applications of one cluster: the newcomer keeps what it had, or is held, and both are named. */
function refuseShared(
  entries: readonly Entry[],
  before: ReadonlyMap<string, Entry>,
  sealed: (digest: BundleDigest) => Sealed | undefined,
): Entry[] {
  const owners = new Map<string, RunEntry>();
  const isOld = (entry: Entry): boolean => {
    const known = before.get(keyOf(entry));
    return entry.kind === "run" && known?.kind === "run" && known.digest === entry.digest;
  };
  const inTurn = [...entries].sort((a, b) => Number(isOld(b)) - Number(isOld(a)));
  const accepted = new Map<string, Entry>();
  for (const entry of inTurn) {
    const keys = entry.kind === "run" ? (sealed(entry.digest)?.keys ?? []) : [];
    const shared = keys.find((key) => owners.has(key));
    if (entry.kind !== "run" || shared === undefined) {
      accepted.set(keyOf(entry), entry);
      if (entry.kind === "run") for (const key of keys) owners.set(key, entry);
      continue;
    }
    const because = `${describeRef(parseRefKey(shared))} is also in ${owners.get(shared)!.application}: an object belongs to one Application`;
    const known = before.get(keyOf(entry));
    accepted.set(keyOf(entry), known?.kind === "run" ? known : { ...keyParts(entry), kind: "hold", because });
  }
  return entries.map((entry) => accepted.get(keyOf(entry))!);
}

const keyParts = ({ application, environment }: EntryKey): EntryKey => ({ application, environment });
