import { valueAt } from "#agent/drift/paths.ts";
import { replicasPath } from "#agent/drift/yields.ts";
import { deletionRank } from "#agent/apply/order.ts";
import { hookOf, isOnce, type Hook, type HookPhase } from "#proto/hooks.ts";
import { refKey, refOf, type KubeObject } from "#proto/object.ts";
import { openBundle } from "#proto/bundle.ts";
import type { RunEntry } from "#proto/desired-state.ts";
import type { BundleDigest, ClusterId } from "#proto/ids.ts";
import { withoutNamespace } from "./served.ts";
import { canonicalJson, sha256Hex } from "#proto/json.ts";

/** Marks what an agent owns; one label selector then watches all of it. */
export const agentLabel = "plumbline.dev/agent";

export type Desired = {
  readonly object: KubeObject;
  /** SHA-256 of the object, found out when it is first asked for: who applies all does not wait for a thousand of them. */
  readonly hash: string;
  /** Paths that are left out of `object`, or kept as they are, because somebody else has them. */
  readonly yielded?: readonly string[];
  /** Created where it is absent, and otherwise left as it is. */
  readonly once?: true;
};

export type BundleHook = { readonly key: string; readonly object: KubeObject; readonly hook: Hook };

export type BundleKind = { readonly apiVersion: string; readonly kind: string; readonly isPlaced: boolean };

/**
 * A verified bundle: its identities are kept, its objects are opened when they are needed and forgotten after, because
 * sealed they take a tenth of the room.
 */
export type Bundle = {
  readonly digest: BundleDigest;
  readonly run: RunEntry;
  readonly slices: readonly Uint8Array[];
  /** What the Application shall own; its hooks are no part of it. */
  readonly keys: ReadonlySet<string>;
  readonly hookKeys: ReadonlySet<string>;
  /** Phases for which there are hooks. */
  readonly phases: ReadonlySet<HookPhase>;
  /** Something in it has replicas, which an autoscaler may take. */
  readonly scales: boolean;
  /** Its kinds, hooks' too; `isPlaced`: some object of the kind names a namespace. */
  readonly kinds: readonly BundleKind[];
  /** By key, with the agent's label, in the order of the bundle. */
  desired(): ReadonlyMap<string, Desired>;
  /** In the order in which they run. */
  hooks(): readonly BundleHook[];
  /** The same bundle, with no namespace for objects of these kinds ("group/Kind"). */
  scoped(clusterScoped: ReadonlySet<string>): Bundle;
  forget(): void;
};

/** `known`: keys that are in memory already, and are shared. Throws BundleRefused when the slices are not what the signed entry says. */
export function takeBundle(
  run: RunEntry,
  slices: readonly Uint8Array[],
  contentKey: Uint8Array,
  cluster: ClusterId,
  known: Iterable<string> = [],
  clusterScoped: ReadonlySet<string> = new Set(),
): Bundle {
  const open = (): Opened => {
    const objects = openBundle(slices, { address: run.address, digest: run.digest, contentKey });
    return openedOf(
      objects.map((object) => withoutNamespace(object, clusterScoped)),
      cluster,
    );
  };
  let opened: Opened | undefined = open();
  // No closure may name these two: it would hold for ever what is to be forgotten.
  const { desired, hooks } = opened;
  const keys = sharingKeys(desired, known);
  return {
    digest: run.digest,
    run,
    slices,
    keys,
    hookKeys: new Set(hooks.map(({ key }) => key)),
    phases: new Set(hooks.flatMap(({ hook }) => hook.phases.map(({ phase }) => phase))),
    scales: [...desired.values()].some(({ object }) => valueAt(object, replicasPath) !== undefined),
    kinds: kindsIn([...[...desired.values()].map(({ object }) => object), ...hooks.map(({ object }) => object)]),
    desired: () => (opened ??= open()).desired,
    hooks: () => (opened ??= open()).hooks,
    scoped: (kinds) => takeBundle(run, slices, contentKey, cluster, keys, new Set([...clusterScoped, ...kinds])),
    forget: () => void (opened = undefined),
  };
}

/** A set keeps the first of two equal strings. */
const sharingKeys = (desired: ReadonlyMap<string, Desired>, known: Iterable<string>): Set<string> =>
  new Set([...[...known].filter((key) => desired.has(key)), ...desired.keys()]);

function kindsIn(objects: readonly KubeObject[]): BundleKind[] {
  const kinds = new Map<string, BundleKind>();
  for (const { apiVersion, kind, metadata } of objects) {
    const name = `${apiVersion} ${kind}`;
    const isPlaced = metadata.namespace !== undefined || kinds.get(name)?.isPlaced === true;
    kinds.set(name, { apiVersion, kind, isPlaced });
  }
  return [...kinds.values()];
}

type Opened = { readonly desired: ReadonlyMap<string, Desired>; readonly hooks: readonly BundleHook[] };

function openedOf(objects: readonly KubeObject[], cluster: ClusterId): Opened {
  const desired = new Map<string, Desired>();
  const hooks: BundleHook[] = [];
  for (const plain of objects) {
    const labels = { ...plain.metadata.labels, [agentLabel]: cluster };
    const object = { ...plain, metadata: { ...plain.metadata, labels } };
    const key = refKey(refOf(object));
    const hook = hookOf(object);
    if (hook !== undefined) hooks.push({ key, object, hook });
    // Its content is another at each rendering, and says nothing.
    else if (isOnce(object)) desired.set(key, { object, hash: onceHash, once: true });
    else desired.set(key, desiredOf(object));
  }
  return { desired, hooks: hooks.sort(inTurn) };
}

const onceHash = "once";

function desiredOf(object: KubeObject): Desired {
  let hash: string | undefined;
  return {
    object,
    get hash() {
      return (hash ??= sha256Hex(canonicalJson(object)));
    },
  };
}

/** By weight; then what others need first, as in an apply; then by name. */
const inTurn = (a: BundleHook, b: BundleHook): number =>
  a.hook.weight - b.hook.weight || deletionRank(b.object) - deletionRank(a.object) || (a.key < b.key ? -1 : 1);
