import { randomUUID } from "node:crypto";
import type { JsonObject, KubeObject } from "#proto/object.ts";
import type { Kind } from "./kinds.ts";

/** What the server adds to a new object after ownership was told: nobody owns it. */
export function created(kind: Kind, object: KubeObject, now: string, version: number): KubeObject {
  const { status: _, ...wanted } = object;
  const { deletionTimestamp: __, deletionGracePeriodSeconds: ___, ...metadata } = object.metadata;
  const fresh = {
    ...(kind.hasStatus ? wanted : object),
    metadata: {
      ...metadata,
      uid: randomUUID(),
      creationTimestamp: now,
      ...(kind.hasGeneration ? { generation: 1 } : {}),
    },
  } as KubeObject;
  return { ...fresh, ...additions[`${kind.group}/${kind.kind}`]?.(fresh, version) };
}

const additions: Record<string, (object: KubeObject, version: number) => JsonObject> = {
  "/Namespace": () => ({ spec: { finalizers: ["kubernetes"] }, status: { phase: "Active" } }),
  "/Service": (object, version) => ({ spec: allocated(object, version), status: { loadBalancer: {} } }),
  "/PersistentVolumeClaim": () => ({ status: { phase: "Pending" } }),
  "/Pod": () => ({ status: { phase: "Pending", qosClass: "BestEffort" } }),
  "apps/Deployment": () => ({ status: {} }),
  "apps/StatefulSet": () => ({ status: { availableReplicas: 0, replicas: 0 } }),
  "apps/DaemonSet": () => ({
    status: { currentNumberScheduled: 0, desiredNumberScheduled: 0, numberMisscheduled: 0, numberReady: 0 },
  }),
  "batch/Job": () => ({ status: {} }),
  "batch/CronJob": () => ({ status: {} }),
  "networking.k8s.io/Ingress": () => ({ status: { loadBalancer: {} } }),
};

function allocated(object: KubeObject, version: number): JsonObject {
  const spec = object["spec"] as JsonObject;
  if (spec["type"] === "ExternalName") return spec;
  const asked = spec["clusterIP"];
  // One address a version: never given twice.
  const address = asked ?? `10.${version >> 16}.${(version >> 8) & 255}.${version & 255}`;
  return {
    ...spec,
    clusterIP: address,
    clusterIPs: [address],
    ipFamilies: spec["ipFamilies"] ?? ["IPv4"],
    ipFamilyPolicy: spec["ipFamilyPolicy"] ?? "SingleStack",
  };
}
