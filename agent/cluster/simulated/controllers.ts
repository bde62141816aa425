import type { Json, JsonObject, KubeObject } from "#proto/object.ts";

/** The name under which controllers write status. */
export const controllerManager = "kube-controller-manager";

/**
 * The status that its controller would come to, at once; undefined for kinds without one. A Pod whose image's name has
 * "broken" in it never gets ready: a Deployment then passes its deadline, a Job fails, others stay in progress.
 */
export function statusOf(object: KubeObject, now: string): JsonObject | undefined {
  const spec = (object["spec"] ?? {}) as JsonObject;
  const template = ((spec["template"] as JsonObject | undefined)?.["spec"] ?? spec) as JsonObject;
  const isBroken = imagesOf(template).some((image) => image.includes("broken"));
  const wanted = Number(spec["replicas"] ?? 1);
  const ready = isBroken ? 0 : wanted;
  const seen = { observedGeneration: object.metadata.generation ?? 1 };
  const condition = (type: string, is: boolean, reason: string): JsonObject =>
    conditionOf(object, { type, status: is ? "True" : "False", reason, message: "" }, now);

  switch (object.kind) {
    case "Deployment":
      return {
        ...seen,
        ...positive({ replicas: wanted, updatedReplicas: wanted, readyReplicas: ready, availableReplicas: ready }),
        ...positive({ unavailableReplicas: wanted - ready }),
        conditions: [
          condition("Available", !isBroken, isBroken ? "MinimumReplicasUnavailable" : "MinimumReplicasAvailable"),
          condition("Progressing", !isBroken, isBroken ? "ProgressDeadlineExceeded" : "NewReplicaSetAvailable"),
        ],
      };
    case "ReplicaSet":
      return { ...seen, replicas: wanted, ...positive({ readyReplicas: ready, availableReplicas: ready }) };
    case "StatefulSet": {
      const revision = `${object.metadata.name}-${object.metadata.generation ?? 1}`;
      return {
        ...seen,
        replicas: wanted,
        availableReplicas: ready,
        ...positive({ readyReplicas: ready, currentReplicas: wanted, updatedReplicas: wanted }),
        currentRevision: revision,
        updateRevision: revision,
      };
    }
    case "DaemonSet":
      return {
        ...seen,
        currentNumberScheduled: 1,
        desiredNumberScheduled: 1,
        numberMisscheduled: 0,
        numberReady: isBroken ? 0 : 1,
        updatedNumberScheduled: 1,
        ...positive({ numberAvailable: isBroken ? 0 : 1 }),
      };
    case "Job":
      return {
        startTime: object.metadata.creationTimestamp ?? now,
        ...(isBroken ? { failed: 1 } : { succeeded: 1, completionTime: object.metadata.creationTimestamp ?? now }),
        conditions: [condition(isBroken ? "Failed" : "Complete", true, isBroken ? "BackoffLimitExceeded" : "")],
      };
    case "Pod":
      return {
        phase: isBroken ? "Pending" : "Running",
        conditions: [condition("Ready", !isBroken, isBroken ? "ContainersNotReady" : "")],
      };
    case "PersistentVolumeClaim":
      return { phase: "Bound" };
    default:
      return undefined;
  }
}

/** What the API server itself says of a definition that it now serves. */
export function establishedStatus(definition: KubeObject, now: string): JsonObject {
  const spec = definition["spec"] as { names: JsonObject; versions: { name: string; storage?: boolean }[] };
  const condition = (type: string, reason: string, message: string): JsonObject =>
    conditionOf(definition, { type, status: "True", reason, message }, now);
  return {
    acceptedNames: spec.names,
    storedVersions: spec.versions.filter(({ storage }) => storage === true).map(({ name }) => name),
    conditions: [
      condition("NamesAccepted", "NoConflicts", "no conflicts found"),
      condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
    ],
  };
}

// A condition keeps the time of its last turn.
function conditionOf(object: KubeObject, condition: JsonObject, now: string): JsonObject {
  const had = ((object["status"] as JsonObject | undefined)?.["conditions"] ?? []) as JsonObject[];
  const before = had.find(({ type, status }) => type === condition["type"] && status === condition["status"]);
  return { ...condition, lastTransitionTime: before?.["lastTransitionTime"] ?? now };
}

const imagesOf = (podSpec: JsonObject): string[] =>
  [...list(podSpec["containers"]), ...list(podSpec["initContainers"])].map(({ image }) =>
    typeof image === "string" ? image : "",
  );
const list = (value: Json | undefined): JsonObject[] => (Array.isArray(value) ? (value as JsonObject[]) : []);

// A count of zero has no place in a status.
const positive = (counts: Record<string, number>): JsonObject =>
  Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
