import type { ApplicationName, BlobAddress, BundleDigest, ClusterId, EnvironmentName, Revision } from "#proto/ids.ts";

/** The one document of one cluster. An Application that is missing here is held, never removed. */
export type DesiredState = {
  readonly cluster: ClusterId;
  readonly epoch: number;
  readonly generation: bigint;
  readonly fleetCommit: Revision;
  /** Empty before the hub's first record commit. */
  readonly recordCommit: Revision | "";
  readonly issuedAtMs: number;
  readonly entries: readonly Entry[];
  /** Sorted by name; one an apiVersion and kind. Empty in documents of hubs that knew none. */
  readonly healthRules: readonly HealthRule[];
};

/** CEL over `object` for one version of one kind, tried in the order failed, inProgress, current; none true is Unknown. */
export type HealthRule = {
  readonly name: string;
  readonly apiVersion: string;
  readonly kind: string;
  readonly current: string;
  readonly inProgress: string | null;
  readonly failed: string | null;
};

export type EntryKey = { readonly application: ApplicationName; readonly environment: EnvironmentName };
export type Entry = RunEntry | HoldEntry | RemoveEntry;

/** These objects shall run. */
export type RunEntry = EntryKey & {
  readonly kind: "run";
  readonly revision: Revision;
  readonly digest: BundleDigest;
  readonly address: BlobAddress;
  readonly slices: number;
  readonly objects: number;
  /** Content key sealed to this cluster's X25519 key (`sealKey`). */
  readonly sealedKey: Uint8Array;
  readonly delivery: Delivery;
  /** SHA-256, in hex, of what the bundle was rendered from; the hub's own word to itself. */
  readonly inputs?: string;
};

/** Keep what runs: nothing new is applied, nothing is pruned, drift is healed to the last good bundle. */
export type HoldEntry = EntryKey & { readonly kind: "hold"; readonly because: string };

/** Take it away: the only entry from which objects are deleted, or let go, whole. */
export type RemoveEntry = EntryKey & {
  readonly kind: "remove";
  readonly mode: "delete" | "orphan";
  readonly commit: Revision;
};

/** How the agent treats a bundle; signed with it, so the agent obeys it alone. Durations in milliseconds. */
export type Delivery = {
  readonly drift: "correct" | "report";
  readonly strict: boolean;
  readonly adopt: "ifEqual" | "never" | "take";
  /** Empty: the agent's configured default. */
  readonly serviceAccount: string;
  readonly timeoutMs: number;
  readonly prune: { readonly enabled: boolean; readonly budgetPercent: number; readonly protected: readonly string[] };
  /** Plan hash that lifts the prune budget once; empty when none. */
  readonly allowPrune: string;
  readonly exceptions: readonly DriftException[];
  readonly soakMarksMs: readonly number[];
  readonly dependsOn: readonly ApplicationName[];
  readonly healingFrozen: { readonly untilMs: number | null } | null;
};

export type DriftException = {
  /** As `describeRef` writes it, `*` matching any name. */
  readonly object: string;
  readonly fields: readonly string[];
  readonly untilMs: number | null;
  readonly reason: string;
};

/** A total order on documents of one cluster: epoch, then generation. Negative when a is older. */
export function compareOrder(
  a: { epoch: number; generation: bigint },
  b: { epoch: number; generation: bigint },
): number {
  if (a.epoch !== b.epoch) return a.epoch - b.epoch;
  return a.generation < b.generation ? -1 : a.generation > b.generation ? 1 : 0;
}
