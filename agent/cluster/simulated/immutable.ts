import { isDeepStrictEqual } from "node:util";
import type { JsonObject, KubeObject } from "#proto/object.ts";
import type { Kind } from "./kinds.ts";
import { invalid } from "./refusals.ts";

const table: Record<string, readonly string[]> = {
  "apps/Deployment": ["spec.selector"],
  "apps/DaemonSet": ["spec.selector"],
  "apps/ReplicaSet": ["spec.selector"],
  "apps/StatefulSet": ["spec.selector", "spec.serviceName", "spec.podManagementPolicy", "spec.volumeClaimTemplates"],
  "batch/Job": ["spec.selector", "spec.template", "spec.completions"],
  "/Secret": ["type"],
  "/Service": ["spec.clusterIP"],
  "/PersistentVolumeClaim": ["spec.storageClassName", "spec.accessModes", "spec.volumeName"],
  "rbac.authorization.k8s.io/RoleBinding": ["roleRef"],
  "rbac.authorization.k8s.io/ClusterRoleBinding": ["roleRef"],
};

/** Throws ApiError 422 when a field changes that may not. */
export function checkImmutable(kind: Kind, live: KubeObject, next: KubeObject): void {
  const isFrozen = live["immutable"] === true;
  const frozen = isFrozen ? ["data", "binaryData", "immutable"] : [];
  for (const path of [...(table[`${kind.group}/${kind.kind}`] ?? []), ...frozen])
    if (!isDeepStrictEqual(valueAt(live, path), valueAt(next, path)))
      throw invalid(
        kind,
        next.metadata.name,
        path,
        isFrozen ? "field is immutable when `immutable` is set" : "field is immutable",
      );
}

const valueAt = (object: KubeObject, path: string): unknown =>
  path.split(".").reduce<unknown>((value, name) => (value as JsonObject | undefined)?.[name], object);
