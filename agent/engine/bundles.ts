import { valueAt } from "#agent/drift/paths.ts";
import { replicasPath } from "#agent/drift/yields.ts";
import { refKey, refOf, type KubeObject } from "#proto/object.ts";
import { openBundle } from "#proto/bundle.ts";
import type { RunEntry } from "#proto/desired-state.ts";
import type { BundleDigest, ClusterId } from "#proto/ids.ts";
import { canonicalJson, sha256Hex } from "#proto/json.ts";

/** Marks what an agent owns; one label selector then watches all of it. */
export const agentLabel = "plumbline.dev/agent";

/** `yielded`: paths that are left out of `object`, or kept as they are, because somebody else has them. */
export type Desired = { readonly object: KubeObject; readonly hash: string; readonly yielded?: readonly string[] };

/**
 * A verified bundle: its identities are kept, its objects are opened when they are needed and forgotten after, because
 * sealed they take a tenth of the room.
 */
export type Bundle = {
  readonly digest: BundleDigest;
  readonly run: RunEntry;
  readonly slices: readonly Uint8Array[];
  readonly keys: ReadonlySet<string>;
  /** Something in it has replicas, which an autoscaler may take. */
  readonly scales: boolean;
  /** By key, with the agent's label, in the order of the bundle. */
  desired(): ReadonlyMap<string, Desired>;
  forget(): void;
};

/** Throws BundleRefused when the slices are not what the signed entry says. */
export function takeBundle(
  run: RunEntry,
  slices: readonly Uint8Array[],
  contentKey: Uint8Array,
  cluster: ClusterId,
): Bundle {
  const open = (): ReadonlyMap<string, Desired> => {
    const objects = openBundle(slices, { address: run.address, digest: run.digest, contentKey });
    return new Map(objects.map((object) => desiredOf(object, cluster)));
  };
  let opened: ReadonlyMap<string, Desired> | undefined = open();
  return {
    digest: run.digest,
    run,
    slices,
    keys: new Set(opened.keys()),
    scales: [...opened.values()].some(({ object }) => valueAt(object, replicasPath) !== undefined),
    desired: () => (opened ??= open()),
    forget: () => void (opened = undefined),
  };
}

function desiredOf(object: KubeObject, cluster: ClusterId): [string, Desired] {
  const labels = { ...object.metadata.labels, [agentLabel]: cluster };
  const labelled = { ...object, metadata: { ...object.metadata, labels } };
  return [refKey(refOf(object)), { object: labelled, hash: sha256Hex(canonicalJson(labelled)) }];
}
