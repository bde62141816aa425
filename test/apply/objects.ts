import type { World } from "#test/drift-cases/world.ts";
import type { ApplicationStatus } from "#proto/gen/plumbline/agent/v1/agent.ts";
import type { JsonObject, KubeObject } from "#proto/object.ts";

export type Annotations = Readonly<Record<string, string>>;

export const settings = (
  world: World,
  name: string,
  data: Record<string, string> = {},
  annotations: Annotations = {},
): KubeObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: world.namespace, annotations: { ...annotations } },
  data,
});

export const job = (world: World, name: string, annotations: Annotations, image = "app:1"): KubeObject => ({
  apiVersion: "batch/v1",
  kind: "Job",
  metadata: { name, namespace: world.namespace, annotations: { ...annotations } },
  spec: {
    backoffLimit: 0,
    template: { spec: { restartPolicy: "Never", containers: [{ name: "main", image: `registry.example/${image}` }] } },
  },
});

export const pod = (world: World, name: string, annotations: Annotations): KubeObject => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: world.namespace, annotations: { ...annotations } },
  spec: { restartPolicy: "Never", containers: [{ name: "main", image: "registry.example/app:1" }] },
});

export const deployment = (world: World, name: string): KubeObject => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name, namespace: world.namespace },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: name } },
    template: {
      metadata: { labels: { app: name } },
      spec: { containers: [{ name: "main", image: "registry.example/app:1" }] },
    },
  },
});

export const ready: JsonObject = {
  observedGeneration: 1,
  replicas: 1,
  updatedReplicas: 1,
  readyReplicas: 1,
  availableReplicas: 1,
  conditions: [{ type: "Available", status: "True", lastUpdateTime: null, lastTransitionTime: null }],
};

/** What the Job controller, or a kubelet, writes in the end. */
export async function finish(world: World, object: KubeObject, outcome: "succeeded" | "failed"): Promise<void> {
  const at = "2026-01-01T00:00:00Z";
  if (object.kind === "Pod")
    return world.backend.writeStatus(object, { phase: outcome === "succeeded" ? "Succeeded" : "Failed" });
  const condition = (type: string): JsonObject => ({
    type,
    status: "True",
    reason: outcome === "succeeded" ? "CompletionsReached" : "BackoffLimitExceeded",
    message: "as a controller says",
    lastProbeTime: at,
    lastTransitionTime: at,
  });
  const conditions =
    outcome === "succeeded"
      ? [condition("SuccessCriteriaMet"), condition("Complete")]
      : [condition("FailureTarget"), condition("Failed")];
  const counts = outcome === "succeeded" ? { succeeded: 1, completionTime: at } : { failed: 1 };
  await world.backend.writeStatus(object, { startTime: at, uncountedTerminatedPods: {}, ...counts, conditions });
}

export const uidOf = async (world: World, object: KubeObject): Promise<string | undefined> =>
  (await world.person.get(world.address(object)))?.metadata.uid;

export const isThere = async (world: World, object: KubeObject): Promise<boolean> =>
  (await uidOf(world, object)) !== undefined;

export function statusOf(world: World, application = "shop"): ApplicationStatus {
  const found = world.engine.statuses().find((status) => status.application === application);
  if (found === undefined) throw new Error(`nothing is said of ${application}`);
  return found;
}

/** Takes a document, without waiting for what it brings. */
export const give = (world: World, ...entries: Parameters<World["documents"]["sign"]>): void =>
  world.engine.take(world.documents.sign(...entries), "");
