import type { Owned } from "#agent/state/head.ts";
import { canonicalJson, sha256Hex } from "#proto/json.ts";
import { parseRefKey, type ObjectRef } from "#proto/object.ts";
import { deletionRank } from "./order.ts";

/** A prune below this many objects is everyday work, whatever share of an Application it is. */
const freeObjects = 10;

/** Deleting one of these takes others', or data, with it. */
const protectedKinds = new Set([
  "/Namespace",
  "apiextensions.k8s.io/CustomResourceDefinition",
  "/PersistentVolumeClaim",
  "/PersistentVolume",
  "apps/StatefulSet",
]);

export const isProtected = ({ group, kind }: ObjectRef): boolean => protectedKinds.has(`${group}/${kind}`);

export type PruneInputs = {
  /** What the Application owns. */
  readonly inventory: ReadonlyMap<string, Owned>;
  /** Objects of its newest bundle; empty for a removal. */
  readonly wanted: ReadonlySet<string>;
  /** Objects in the run bundle of any other Application here. */
  readonly wantedElsewhere: ReadonlySet<string>;
  /** Objects that another Application owns already, whatever its entry says. */
  readonly ownedElsewhere: ReadonlySet<string>;
  readonly budget: { readonly percent: number; readonly allowPrune: string } | "none";
};

export type Candidate = { readonly key: string; readonly owned: Owned };

export type PrunePlan = {
  readonly kind: "prune";
  /** In the order of deletion. */
  readonly candidates: readonly Candidate[];
  /** Created once, and no more in Git: its content was never Git's, so it stays. */
  readonly letGo: readonly Candidate[];
  /** Now another Application's: the entry goes, the object stays. */
  readonly moved: readonly string[];
};
export type PruneBlocked = {
  readonly kind: "blocked";
  readonly because: string;
  readonly planHash: string;
  readonly keys: readonly string[];
  readonly moved: readonly string[];
};

/** What an inventory holds beyond what is wanted, within the budget. Deletes nothing that any other Application has to do with. */
export function planPrune(inputs: PruneInputs): PrunePlan | PruneBlocked {
  const { inventory, wanted, wantedElsewhere, ownedElsewhere, budget } = inputs;
  const surplus = [...inventory].filter(([key]) => !wanted.has(key));
  const moved = surplus.map(([key]) => key).filter((key) => ownedElsewhere.has(key));
  const leaving = surplus
    .filter(([key]) => !ownedElsewhere.has(key) && !wantedElsewhere.has(key))
    .map(([key, owned]) => ({ key, owned }))
    .sort((a, b) => rankOf(a) - rankOf(b) || (a.key < b.key ? 1 : -1));
  if (budget === "none") return { kind: "prune", candidates: leaving, letGo: [], moved };
  const candidates = leaving.filter(({ owned }) => owned.once !== true);
  const letGo = leaving.filter(({ owned }) => owned.once === true);
  const counted = candidates.filter(({ key }) => !isReplacedBySuffix(key, wanted));
  const allowed = Math.max(freeObjects, Math.floor((inventory.size * budget.percent) / 100));
  const planHash = hashOf(candidates);
  if (counted.length <= allowed || budget.allowPrune === planHash) return { kind: "prune", candidates, letGo, moved };
  return {
    kind: "blocked",
    because: `${counted.length} of ${inventory.size} objects would be deleted, ${allowed} are allowed: set allowPrune: ${planHash} in the Promotion to allow exactly these`,
    planHash,
    keys: candidates.map(({ key }) => key),
    moved,
  };
}

const rankOf = ({ key, owned }: { key: string; owned: Owned }): number =>
  deletionRank({ apiVersion: owned.apiVersion, kind: parseRefKey(key).kind });

const hashOf = (candidates: readonly { key: string; owned: Owned }[]): string =>
  sha256Hex(canonicalJson(candidates.map(({ key, owned }) => `${key} ${owned.uid}`).sort())).slice(0, 16);

/** Kustomize ends what it generates in a hash of its content: another hash gives way to it. */
function isReplacedBySuffix(key: string, wanted: ReadonlySet<string>): boolean {
  const stem = stemOf(key);
  return stem !== undefined && [...wanted].some((other) => other !== key && stemOf(other) === stem);
}

// The alphabet of kustomize's hash (api/hasher): words of people have vowels, so none is taken for one.
const stemOf = (key: string): string | undefined => /^(.*)-[2456789bcdfghkmt]{10}$/.exec(key)?.[1];

/** Whether an object's own annotation and its Application's policy both allow to delete a protected kind. */
export function isPruneAllowed(
  ref: ObjectRef,
  annotations: Readonly<Record<string, string>> | undefined,
  protectedByPolicy: readonly string[],
): boolean {
  return (
    !isProtected(ref) || (annotations?.["plumbline.dev/prune"] === "allow" && protectedByPolicy.includes(ref.kind))
  );
}

/** Annotations by which an object says itself that nobody deletes it: it is let go instead, and that is told. */
export function isKept(annotations: Readonly<Record<string, string>> | undefined): boolean {
  const options = (annotations?.["argocd.argoproj.io/sync-options"] ?? "").split(",").map((option) => option.trim());
  return (
    annotations?.["helm.sh/resource-policy"] === "keep" ||
    annotations?.["plumbline.dev/prune"] === "never" ||
    annotations?.["kustomize.toolkit.fluxcd.io/prune"] === "disabled" ||
    options.some((option) => keptOptions.has(option))
  );
}

const keptOptions = new Set(["Prune=false", "Delete=false", "Prune=confirm", "Delete=confirm"]);
