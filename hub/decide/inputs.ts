import type { Delivery, Entry, EntryKey } from "#proto/desired-state.ts";
import type { ApplicationName, BundleDigest, ClusterId, EnvironmentName, Revision } from "#proto/ids.ts";
import type { Trust } from "#hub/trust/gate.ts";
import type { ClusterRecord, RolloutRecord } from "./record.ts";

/** Everything a decision depends on, as plain values: equal inputs give an equal decision. */
export type Inputs = {
  /** Ends freezes and exceptions; nothing else depends on it. */
  readonly nowMs: number;
  readonly fleetCommit: Revision;
  readonly clusters: ReadonlyMap<ClusterId, DeclaredCluster>;
  readonly environments: ReadonlyMap<EnvironmentName, DeclaredEnvironment>;
  readonly applications: ReadonlyMap<ApplicationName, DeclaredApplication>;
  readonly promotions: readonly (EntryKey & {
    readonly revision: Revision;
    readonly allowPrune?: string;
    readonly file: string;
  })[];
  readonly removals: readonly DeclaredRemoval[];
  readonly freezes: readonly DeclaredFreeze[];
  readonly records: readonly RolloutRecord[];
  readonly clusterRecords: ReadonlyMap<ClusterId, ClusterRecord>;
  /** Last signed entries of each cluster. A cluster that is missing here has an unknown state: nothing is published to it. */
  readonly signed: ReadonlyMap<ClusterId, readonly SignedEntry[]>;
  readonly receipts: readonly SeenReceipt[];
  /** Clusters whose agents are connected, or were within the time an environment allows. */
  readonly heard: ReadonlySet<ClusterId>;
  /** Where what is followed stands, in an Application's repository. Undefined while unknown. */
  readonly head: (application: ApplicationName, follow: Follow) => Revision | Stopped | undefined;
  /** Undefined until the target was rendered. */
  readonly rendered: (target: Target) => Outcome | undefined;
  /** What signatures prove. Undefined until it was examined; asked only where an environment requires them. */
  readonly trust: (ask: SignatureAsk) => Trust | undefined;
  /** Policy of an entry, without freezes of healing and soak marks, which are decided here. */
  readonly delivery: (key: EntryKey, cluster: ClusterId) => Delivery;
};

/** What an environment, or an Application's source, takes its revisions from; a text is a branch. */
export type Follow =
  | string
  | { readonly tag: string }
  /** The highest version among the tags that this range allows. */
  | { readonly semver: string }
  | { readonly commit: Revision };

/** History is not what it was: what follows it keeps its last good state, and this says why and what to do. */
export type Stopped = { readonly because: string };

export type DeclaredCluster = { readonly labels: Readonly<Record<string, string>> };
export type Selector = { readonly matchLabels: Readonly<Record<string, string>> };

export type DeclaredEnvironment = {
  readonly clusters: Selector;
  readonly revisions:
    | { readonly follow: Follow }
    | { readonly promotedFrom: readonly EnvironmentName[]; readonly auto: boolean };
  /** How long the environments before this one must have been healthy. */
  readonly soakMs: number;
  /** Whose signature is asked for: nobody's, that of what is taken, or those of all that leads to it. */
  readonly signatures: "off" | "head" | "all";
  /** Gates that are declared and that nobody can open yet; each keeps the environment where it is. */
  readonly closedGates: readonly string[];
  /** Documents that may speak of this environment and cannot be read: nothing moves, not even back, until they can. */
  readonly unreadable: readonly string[];
};

export type DeclaredApplication = {
  readonly environments: readonly EnvironmentName[];
  /** What its own source follows, wherever an environment follows something. */
  readonly source?: { readonly follow?: Follow | undefined };
};

export type DeclaredRemoval = {
  readonly application: ApplicationName;
  readonly scope: { readonly environment: EnvironmentName } | { readonly cluster: ClusterId };
  readonly mode: "delete" | "orphan";
  /** Where it is asked for, in the fleet repository. */
  readonly file: string;
};

/** What has to be signed by one of an environment's signers. */
export type SignatureAsk =
  | (EntryKey & {
      readonly kind: "revision";
      readonly revision: Revision;
      readonly require: "head" | "all";
      /** The tag, or tags, that it comes from: then the tag is signed as well. */
      readonly tags?: Exclude<Follow, string | { readonly commit: Revision }>;
      /** What this environment ran before, and so trusted. */
      readonly since: readonly Revision[];
    })
  /** A document that asks for something: the commit that last changed its file. */
  | { readonly kind: "request"; readonly environment: EnvironmentName; readonly file: string };

/** An empty list matches everything. */
export type DeclaredFreeze = {
  readonly name: string;
  readonly environments: readonly EnvironmentName[];
  readonly applications: readonly ApplicationName[];
  readonly clusters: readonly ClusterId[];
  readonly untilMs: number | null;
  readonly reason: string;
  readonly healing: boolean;
};

/** What of a signed entry matters to a decision. Content address and sealed key follow from the digest. */
export type DecidedRun = EntryKey & {
  readonly kind: "run";
  readonly revision: Revision;
  readonly digest: BundleDigest;
  readonly delivery: Delivery;
  /** What the bundle was rendered from, where that is known. */
  readonly inputs?: string;
};
export type DecidedEntry = DecidedRun | Exclude<Entry, { kind: "run" }>;
/** `signedAs`: the revision that its document names, where `revision` came later and gave the same digest. */
export type SignedRun = DecidedRun & { readonly signedAs?: Revision };
export type SignedEntry = SignedRun | Exclude<DecidedEntry, { kind: "run" }>;

export type SeenReceipt = EntryKey & {
  readonly cluster: ClusterId;
  readonly digest: BundleDigest;
  readonly healthy: boolean;
  readonly healthyForMs: number;
};

export type Target = EntryKey & { readonly revision: Revision; readonly cluster: ClusterId };
export type Outcome =
  /** `inputs`: of what it was rendered, as far as a hub can tell it again; the same should give the same digest. */
  | { readonly ok: true; readonly digest: BundleDigest; readonly inputs?: string }
  | { readonly ok: false; readonly because: string };

/** Why something is not where people asked it to be, in words for them. */
export type Waiting = EntryKey & { readonly cluster?: ClusterId; readonly because: string };

export type Decision = {
  /** Missing renderings; decide again with them. Until then these targets keep what they have. */
  readonly render: readonly Target[];
  /** Signatures that nobody looked at yet; decide again with them. Until then nothing moves for them. */
  readonly examine: readonly SignatureAsk[];
  /** Whole entries of each cluster that may be published to. Clusters that are missing keep their document. */
  readonly desired: ReadonlyMap<ClusterId, readonly DecidedEntry[]>;
  /** Records that changed, whole. */
  readonly records: readonly RolloutRecord[];
  /**
   * Records that changed by a further name for what was proved before, whole. In a repository of many Applications that is
   * every one of them at every commit.
   */
  readonly renamed: readonly RolloutRecord[];
  readonly waiting: readonly Waiting[];
};

/** What an Application takes its revisions from in an environment that follows something. */
export const followOf = (application: DeclaredApplication | undefined, follow: Follow): Follow =>
  application?.source?.follow ?? follow;

/** For people, and for keys: one text for one thing that is followed. */
export function describeFollow(follow: Follow): string {
  if (typeof follow === "string") return `branch ${follow}`;
  if ("tag" in follow) return `tag ${follow.tag}`;
  return "semver" in follow ? `tags ${follow.semver}` : `commit ${follow.commit}`;
}

export const keyOf = (key: EntryKey): string => `${key.environment}/${key.application}`;

export const selects = (selector: Selector, labels: Readonly<Record<string, string>>): boolean =>
  Object.entries(selector.matchLabels).every(([name, value]) => Object.hasOwn(labels, name) && labels[name] === value);
