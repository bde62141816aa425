import type { WatchEvent } from "#agent/cluster/cluster.ts";
import type { Failure } from "#agent/apply/failure.ts";
import type { Health } from "#agent/health/condition.ts";
import type { Head, HooksDone, Owned } from "#agent/state/head.ts";
import type { DesiredState, Entry, RunEntry } from "#proto/desired-state.ts";
import type { HighWater } from "#proto/envelope.ts";
import type { ApplicationName } from "#proto/ids.ts";
import type { KubeObject } from "#proto/object.ts";
import type { Bundle } from "./bundles.ts";
import type { Heal } from "./fights.ts";

export type Phase = "Applying" | "Applied" | "Held" | "Blocked" | "Failed" | "Removing" | "Removed";

/** A difference from its first sight to its end. */
export type Episode = { readonly id: string; readonly seenAtMs: number; readonly state: "seen" | "contested" };

/** What is known of one owned object besides its inventory entry. */
export type Tracked = {
  readonly key: string;
  application: ApplicationName;
  health: Health;
  /** When it came to this state of health; epoch milliseconds, 0: before this agent saw it. */
  healthSinceMs: number;
  /** Why it is not well, as its Pods and events say; empty when nothing was looked up or found. */
  cause: string;
  /** Monotonic time of the last look for a cause. */
  lookedUpAt: number;
  /** Highest resourceVersion seen or answered; events at or below it say nothing new. */
  version: bigint;
  /** An apply of ours is on its way, until this resolves: events wait for its answer, and other writes for its end. */
  inFlight: Promise<void> | undefined;
  held: Exclude<WatchEvent, { type: "BOOKMARK" }> | undefined;
  episode: Episode | undefined;
  /** The last heals, for telling a fight. */
  heals: readonly Heal[];
  /** Heals of the present fight, or of the last two minutes. */
  healed: number;
  /** Contested: no heal before this monotonic time. */
  notBefore: number;
  backoffStep: number;
  /** Content at which it was looked at and left as it is: nothing is done before it is another. */
  looked: string;
  /** Fields of others, as they were last told. */
  foreign: string;
  /** Something was seen of it while nothing here told what it should be: looked at when that is known. */
  isUnjudged: boolean;
  /** Another's object, as it was when it was left to them, and the monotonic time of the next look; 0: none was yet. */
  others: { readonly version: bigint; readonly nextAt: number } | undefined;
  /** Its heal was refused for good: tried again with another bundle. */
  isRefused: boolean;
};

export type ApplicationState = {
  readonly name: ApplicationName;
  head: Head | undefined;
  /** Of what it owned when the agent started: read from its head; there was no head; or there was one that cannot be read. */
  memory: "kept" | "none" | "lost";
  /** How far its hooks were, where there is no head to say so. */
  recovered: HooksDone | undefined;
  /** No head says so, and yet something of it is here: it is not new. */
  isTraced: boolean;
  /** Of `head.run`. */
  bundle: Bundle | undefined;
  /** A bundle of which every object was seen to be applied, so that to say so again it need not be opened. */
  applied: Bundle | undefined;
  /** Of the newest run entry, while it is not being applied yet: what runs is healed to `bundle` until then. */
  next: Bundle | undefined;
  phase: Phase;
  reason: string;
  /** By key: what could not be applied, and why. */
  problems: Map<string, Problem>;
  /** Applications whose change may end this one's waiting. */
  waitsFor: ReadonlySet<string>;
  /** It came with an apply that has not ended yet: then all is looked at that it may be about. */
  isPolicyNew: boolean;
  /** Keys that the running reconcile will apply itself: healing leaves them alone. */
  applying: Set<string>;
  /** Calls the running reconcile off, because something newer is wanted. */
  run: AbortController | undefined;
  /** Monotonic time since when every object has been Current at this digest. */
  currentSince: number | undefined;
  /** Soak marks of this digest that were reported. */
  marks: Set<number>;
  counts: { created: number; configured: number; unchanged: number; pruned: number };
  lastReceipt: string;
  /** Something in the inventory changed that no Secret holds yet. */
  isUnsaved: boolean;
  /** When the last apply ended; epoch milliseconds, 0: not in this life. */
  lastAppliedAtMs: number;
  /** When it is reconciled again though nothing calls for it; epoch milliseconds, 0: never. */
  nextTryAtMs: number;
  /** Hash of the prune that is over budget; empty when none is. */
  prunePlan: string;
  /** When the last apply ended whose health was not traced yet; epoch milliseconds. */
  appliedAtMs: number | undefined;
  /** Of the newest thing that happened on the way of its revision. */
  traceparent: string;
};

export type TakenDocument = { readonly bytes: Uint8Array; readonly state: DesiredState; readonly highWater: HighWater };

/** `nextTryAtMs`: epoch milliseconds; undefined while it is being tried, and when nothing but another digest helps. */
export type Problem = Failure & { readonly nextTryAtMs?: number | undefined };

/** An object that a hook made, followed until it is done, or because it failed. */
export type HookSlot = {
  readonly application: ApplicationName;
  /** As it was last seen. */
  seen: KubeObject | undefined;
  isGone: boolean;
  /** Told when it changes, while nobody waits for it. */
  isFailed: boolean;
};

/** All that one agent knows, in memory. Changed only by the files of this folder. */
export type Model = {
  document: TakenDocument | undefined;
  /** Of a document that was taken, and lost from the agent's memory: nothing older is taken. */
  lost: HighWater | undefined;
  /** Taken, and not yet in any Secret. */
  unsaved: Uint8Array | undefined;
  readonly applications: Map<ApplicationName, ApplicationState>;
  readonly tracked: Map<string, Tracked>;
  readonly hooks: Map<string, HookSlot>;
};

export const createModel = (): Model => ({
  document: undefined,
  lost: undefined,
  unsaved: undefined,
  applications: new Map(),
  tracked: new Map(),
  hooks: new Map(),
});

export function applicationOf(model: Model, name: ApplicationName): ApplicationState {
  const known = model.applications.get(name);
  if (known !== undefined) return known;
  const fresh: ApplicationState = {
    name,
    head: undefined,
    memory: "none",
    recovered: undefined,
    isTraced: false,
    bundle: undefined,
    applied: undefined,
    next: undefined,
    phase: "Held",
    reason: "",
    problems: new Map(),
    waitsFor: new Set(),
    isPolicyNew: false,
    applying: new Set(),
    run: undefined,
    currentSince: undefined,
    marks: new Set(),
    counts: { created: 0, configured: 0, unchanged: 0, pruned: 0 },
    lastReceipt: "",
    isUnsaved: false,
    appliedAtMs: undefined,
    lastAppliedAtMs: 0,
    nextTryAtMs: 0,
    prunePlan: "",
    traceparent: "",
  };
  model.applications.set(name, fresh);
  return fresh;
}

export const unseen: Health = { state: "Unknown", reason: "not seen yet" };

/** Shared, as few objects were ever healed. */
const none: readonly Heal[] = [];

export function track(model: Model, key: string, application: ApplicationName): Tracked {
  const known = model.tracked.get(key);
  if (known !== undefined) {
    known.application = application;
    return known;
  }
  const fresh: Tracked = {
    key,
    application,
    health: unseen,
    healthSinceMs: 0,
    cause: "",
    lookedUpAt: Number.NEGATIVE_INFINITY,
    version: 0n,
    inFlight: undefined,
    held: undefined,
    episode: undefined,
    heals: none,
    healed: 0,
    notBefore: 0,
    backoffStep: 0,
    looked: "",
    foreign: "",
    isUnjudged: false,
    others: undefined,
    isRefused: false,
  };
  model.tracked.set(key, fresh);
  return fresh;
}

/** The inventory entry of a key, and whose it is. */
export function ownedOf(model: Model, tracked: Tracked): Owned | undefined {
  return model.applications.get(tracked.application)?.head?.inventory.get(tracked.key);
}

/** Somebody has made another object of the name of ours. */
export const isAnother = ({ uid }: Owned, { metadata }: KubeObject): boolean => uid !== "" && uid !== metadata.uid;

/** Changes one entry in memory; the next head that is saved carries it. */
export function setOwned(model: Model, application: ApplicationName, key: string, owned: Owned): void {
  writable(model, application)?.set(key, owned);
}

/** No longer this Application's: it is followed for the one that owns it besides, or no more. Gives whether one does. */
export function disown(model: Model, application: ApplicationName, key: string): boolean {
  writable(model, application)?.delete(key);
  const [other] = ownersOf(model, key);
  const tracked = model.tracked.get(key);
  if (tracked?.application === application) {
    if (other === undefined) model.tracked.delete(key);
    else tracked.application = other.name;
  }
  return other !== undefined;
}

/** Whose inventories have it: two while an object moves from one Application to another. */
export const ownersOf = (model: Model, key: string): ApplicationState[] =>
  [...model.applications.values()].filter(({ head }) => head?.inventory.has(key) === true);

// The one place that writes into an inventory: copying a thousand entries for each object of an apply would not do.
const writable = (model: Model, application: ApplicationName): Map<string, Owned> | undefined =>
  model.applications.get(application)?.head?.inventory as Map<string, Owned> | undefined;

export const entryOf = (model: Model, application: ApplicationName): Entry | undefined =>
  model.document?.state.entries.find((entry) => entry.application === application);

export const versionOf = (object: KubeObject): bigint => BigInt(object.metadata.resourceVersion ?? "0");

/** The bundle of this run entry, if it is here. */
export const bundleOf = (application: ApplicationState, { digest }: RunEntry): Bundle | undefined =>
  [application.next, application.bundle].find((bundle) => bundle?.digest === digest);

/** Of the newest document's run entry; undefined too when that entry is none. */
export function newestBundle(model: Model, application: ApplicationState): Bundle | undefined {
  const entry = entryOf(model, application.name);
  return entry?.kind === "run" ? bundleOf(application, entry) : undefined;
}

export function settle(
  context: { touched(application: ApplicationState): void },
  application: ApplicationState,
  phase: Phase,
  reason: string,
): void {
  application.phase = phase;
  application.reason = reason;
  context.touched(application);
}
