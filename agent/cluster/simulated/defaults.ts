import type { Json, JsonObject, KubeObject } from "#proto/object.ts";
import { defaultPodSpec, fill } from "./pod-defaults.ts";

/** What the server adds to what it is given, before ownership is told: an updater owns these, an applier does not. */
export function defaulted(object: KubeObject): KubeObject {
  const copy = structuredClone(object);
  table[copy.kind]?.(copy as JsonObject);
  return copy;
}

/** The members that an object of this kind has before anything was written to it. */
export function zeroOf(kind: string): JsonObject {
  return structuredClone(zeros[kind] ?? {});
}

const objectAt = (parent: JsonObject, name: string): JsonObject => (parent[name] ??= {}) as JsonObject;
const itemsAt = (parent: JsonObject | undefined, name: string): JsonObject[] =>
  Array.isArray(parent?.[name]) ? (parent[name] as JsonObject[]) : [];

const rolling = (rollingUpdate: JsonObject): JsonObject => ({ type: "RollingUpdate", rollingUpdate });

const table: Record<string, (object: JsonObject) => void> = {
  Deployment(object) {
    const spec = objectAt(object, "spec");
    fill(spec, { replicas: 1, revisionHistoryLimit: 10, progressDeadlineSeconds: 600, strategy: {} });
    const strategy = fill(objectAt(spec, "strategy"), { type: "RollingUpdate" });
    if (strategy["type"] === "RollingUpdate")
      fill(objectAt(strategy, "rollingUpdate"), { maxSurge: "25%", maxUnavailable: "25%" });
    defaultTemplate(spec);
  },
  StatefulSet(object) {
    const spec = objectAt(object, "spec");
    fill(spec, {
      replicas: 1,
      revisionHistoryLimit: 10,
      podManagementPolicy: "OrderedReady",
      persistentVolumeClaimRetentionPolicy: { whenDeleted: "Retain", whenScaled: "Retain" },
      updateStrategy: rolling({ partition: 0 }),
    });
    defaultTemplate(spec);
  },
  DaemonSet(object) {
    const spec = objectAt(object, "spec");
    fill(spec, { revisionHistoryLimit: 10, updateStrategy: rolling({ maxSurge: 0, maxUnavailable: 1 }) });
    defaultTemplate(spec);
  },
  Job(object) {
    const spec = objectAt(object, "spec");
    fill(spec, {
      backoffLimit: 6,
      completionMode: "NonIndexed",
      suspend: false,
      podReplacementPolicy: "TerminatingOrFailed",
    });
    if (spec["completions"] === undefined && spec["parallelism"] === undefined) spec["completions"] = 1;
    fill(spec, { parallelism: 1, manualSelector: false });
    defaultTemplate(spec);
  },
  CronJob(object) {
    const spec = objectAt(object, "spec");
    fill(spec, {
      concurrencyPolicy: "Allow",
      suspend: false,
      successfulJobsHistoryLimit: 3,
      failedJobsHistoryLimit: 1,
    });
    defaultTemplate(objectAt(objectAt(spec, "jobTemplate"), "spec"));
  },
  Pod(object) {
    defaultPodSpec(objectAt(object, "spec"), { enableServiceLinks: true });
  },
  Service(object) {
    const spec = objectAt(object, "spec");
    fill(spec, { type: "ClusterIP", sessionAffinity: "None", internalTrafficPolicy: "Cluster" });
    for (const port of itemsAt(spec, "ports")) {
      fill(port, { protocol: "TCP" });
      if (port["port"] !== undefined) fill(port, { targetPort: port["port"] });
    }
  },
  Namespace(object) {
    const metadata = objectAt(object, "metadata");
    fill(objectAt(metadata, "labels"), { "kubernetes.io/metadata.name": metadata["name"] as Json });
  },
  Secret(object) {
    fill(object, { type: "Opaque" });
    const plain = object["stringData"] as Record<string, string> | undefined;
    if (plain === undefined) return;
    for (const [name, text] of Object.entries(plain))
      objectAt(object, "data")[name] = Buffer.from(text).toString("base64");
    delete object["stringData"];
  },
  PersistentVolumeClaim(object) {
    fill(objectAt(object, "spec"), { volumeMode: "Filesystem" });
  },
  CustomResourceDefinition(object) {
    const spec = objectAt(object, "spec");
    fill(spec, { conversion: { strategy: "None" } });
    const names = objectAt(spec, "names");
    const kind = typeof names["kind"] === "string" ? names["kind"] : "";
    fill(names, { singular: kind.toLowerCase(), listKind: `${kind}List` });
  },
  RoleBinding: defaultBinding,
  ClusterRoleBinding: defaultBinding,
};

function defaultBinding(object: JsonObject): void {
  fill(objectAt(object, "roleRef"), { apiGroup: "rbac.authorization.k8s.io" });
  for (const subject of itemsAt(object, "subjects"))
    if (subject["kind"] !== "ServiceAccount") fill(subject, { apiGroup: "rbac.authorization.k8s.io" });
}

const defaultTemplate = (spec: JsonObject): void =>
  defaultPodSpec(objectAt(objectAt(spec, "template"), "spec"), { restartPolicy: "Always" });

const workload = { template: { metadata: {}, spec: { containers: null } }, selector: null };
const zeros: Record<string, JsonObject> = {
  Deployment: { spec: { ...workload, strategy: {} } },
  StatefulSet: { spec: { ...workload, updateStrategy: {}, serviceName: "" } },
  DaemonSet: { spec: { ...workload, updateStrategy: {} } },
  Job: { spec: { template: workload.template } },
  CronJob: { spec: { schedule: "", jobTemplate: { metadata: {}, spec: { template: workload.template } } } },
  Pod: { spec: { containers: null } },
  Service: { spec: {} },
  Namespace: { spec: {} },
  PersistentVolumeClaim: { spec: { resources: {} } },
  Ingress: { spec: {} },
  NetworkPolicy: { spec: { podSelector: {} } },
  CustomResourceDefinition: { spec: { names: { plural: "", kind: "" } } },
};
