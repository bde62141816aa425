import { fieldManager } from "#agent/cluster/cluster.ts";
import type { ClusterId } from "#proto/ids.ts";
import type { JsonObject, KubeObject, ManagedFieldsEntry } from "#proto/object.ts";
import { agentLabel } from "./bundles.ts";

// Tools whose fields become ours when an object is taken over; anyone else keeps what is theirs.
const formerManagers = new Set([
  "kubectl-client-side-apply",
  "before-first-apply",
  "kubectl",
  "argocd-controller",
  "kustomize-controller",
  "helm-controller",
  "helm",
  "Helm",
  "fleetagent",
]);

const marks: readonly { readonly tool: string; readonly names: readonly string[] }[] = [
  { tool: "Argo CD", names: ["argocd.argoproj.io/tracking-id", "argocd.argoproj.io/instance"] },
  { tool: "Flux", names: ["kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name"] },
];

/**
 * Who else applies this object all the time, as its labels and annotations say. An agent of ours under another cluster's
 * name has the same field manager: no conflict would tell of it, and each would take the object from the other.
 */
export function trackingMark({ metadata }: KubeObject, clusterId: ClusterId): string | undefined {
  const agent = metadata.labels?.[agentLabel];
  if (agent !== undefined && agent !== clusterId) return `the Plumbline agent of cluster ${agent}`;
  const found = marks.find(({ names }) =>
    names.some((name) => metadata.annotations?.[name] !== undefined || metadata.labels?.[name] !== undefined),
  );
  return found?.tool;
}

/**
 * The object with former managers' fields as our own apply entry: what the next apply does not name is then removed, as
 * the former tool would have. Its resourceVersion makes the replacement conditional.
 */
export function takeOver(object: KubeObject): KubeObject {
  const entries = object.metadata.managedFields ?? [];
  const isFormer = ({ manager, subresource }: ManagedFieldsEntry): boolean =>
    (subresource ?? "") === "" && (formerManagers.has(manager) || manager === fieldManager);
  const taken = entries.filter(isFormer);
  if (taken.length === 0) return object;
  const own: ManagedFieldsEntry = {
    manager: fieldManager,
    operation: "Apply",
    apiVersion: object.apiVersion,
    fieldsType: "FieldsV1",
    fieldsV1: taken.map(({ fieldsV1 = {} }) => fieldsV1).reduce(union, {}),
  };
  const managedFields = [...entries.filter((entry) => !isFormer(entry)), own];
  return { ...object, metadata: { ...object.metadata, managedFields } };
}

function union(a: JsonObject, b: JsonObject): JsonObject {
  const merged = { ...a };
  for (const [key, inner] of Object.entries(b))
    merged[key] = key in merged ? union(merged[key] as JsonObject, inner as JsonObject) : inner;
  return merged;
}
