import type { Json, JsonObject, KubeObject } from "#proto/object.ts";
import type { Random } from "./random.ts";

type Addition = readonly [path: readonly string[], value: Json | ((random: Random) => Json)];

const oneOf =
  (...values: Json[]) =>
  (random: Random): Json =>
    random.pick(values);

const onAnything: readonly Addition[] = [
  [["metadata", "labels", "fuzz"], oneOf("a", "b")],
  [["metadata", "annotations", "example.com/fuzz"], oneOf("a", "b")],
  [["metadata", "finalizers"], ["example.com/fuzz"]],
];

/** Fields that the objects do not have by themselves, and that the server takes. */
const byKind: Readonly<Record<string, readonly Addition[]>> = {
  ConfigMap: [
    [["data", "extra"], oneOf("1", "2")],
    [["binaryData", "bytes"], "AAEC"],
    [["immutable"], true],
  ],
  Secret: [
    [["data", "extra"], oneOf("bm90LXRvLWJlLXRvbGQ=", "")],
    [["stringData"], { password: "not-to-be-told-again" }],
  ],
  Service: [
    [["spec", "ports", "-"], { name: "more", port: 81, protocol: "TCP", targetPort: 81 }],
    [["spec", "sessionAffinity"], "ClientIP"],
    [["spec", "externalIPs"], ["192.0.2.1"]],
    [["spec", "type"], oneOf("NodePort", "LoadBalancer")],
    [["spec", "publishNotReadyAddresses"], true],
    [["spec", "selector", "more"], "x"],
  ],
  Ingress: [[["spec", "defaultBackend"], { service: { name: "other", port: { number: 80 } } }]],
  NetworkPolicy: [
    [["spec", "egress"], [{}]],
    [["spec", "ingress", "-"], { ports: [{ port: 9, protocol: "TCP" }] }],
  ],
  HorizontalPodAutoscaler: [
    [["spec", "behavior"], { scaleDown: { stabilizationWindowSeconds: 60 } }],
    [["spec", "minReplicas"], 2],
  ],
  Role: [[["rules", "-"], { apiGroups: [""], resources: ["secrets"], verbs: ["get"] }]],
  ClusterRole: [[["rules", "-"], { apiGroups: [""], resources: ["nodes"], verbs: ["get"] }]],
  RoleBinding: [[["subjects", "-"], { kind: "ServiceAccount", name: "other", namespace: "default" }]],
  CronJob: [[["spec", "suspend"], true]],
  ServiceAccount: [
    [["automountServiceAccountToken"], false],
    [["imagePullSecrets"], [{ name: "pull" }]],
  ],
  ValidatingWebhookConfiguration: [[["webhooks", "0", "clientConfig", "caBundle"], "Y2E="]],
  MutatingWebhookConfiguration: [
    [["webhooks", "0", "reinvocationPolicy"], "IfNeeded"],
    [["webhooks", "0", "timeoutSeconds"], 3],
  ],
  StorageClass: [[["allowedTopologies"], [{ matchLabelExpressions: [{ key: "zone", values: ["a"] }] }]]],
  ResourceQuota: [[["spec", "hard", "services"], "3"]],
  Gadget: [
    [["spec", "parts", "-"], { name: "c", weight: 3 }],
    [["spec", "tags", "-"], "z"],
    [["spec", "whole", "more"], "x"],
    [["spec", "options", "more"], "x"],
    [["spec", "plain", "-"], "r"],
  ],
  Lump: [
    [["spec", "deep", "more"], { x: 1 }],
    [["spec", "deep", "none"], { filled: true }],
    [["spec", "deep", "list", "-"], { a: 3 }],
  ],
};

const inPod: readonly Addition[] = [
  [["nodeSelector"], { disk: "ssd" }],
  [["securityContext", "runAsUser"], 1000],
  [["hostNetwork"], true],
  [["priorityClassName"], "system-node-critical"],
  [["tolerations"], [{ key: "spot", operator: "Exists" }]],
  [["serviceAccountName"], "other"],
  [["containers", "0", "args"], ["--verbose"]],
  [["containers", "0", "env"], [{ name: "MORE", value: "x" }]],
  [["containers", "0", "image"], "shop:evil"],
  [["containers", "0", "resources", "limits"], { cpu: "2" }],
  [["containers", "0", "imagePullPolicy"], "Always"],
  [["containers", "-"], { name: "sidecar", image: "sidecar:1" }],
  [
    ["volumes"],
    [
      { name: "scratch", emptyDir: { medium: "Memory" } },
      { name: "more", emptyDir: {} },
    ],
  ],
  [["initContainers"], [{ name: "init", image: "init:1" }]],
];

export function additions(live: KubeObject): readonly Addition[] {
  const root = podPath(live);
  const pods = root === undefined ? [] : inPod.map(([path, value]): Addition => [[...root, ...path], value]);
  return [...onAnything, ...(byKind[live.kind] ?? []), ...pods, ...pods.slice(0, 4)];
}

function podPath(live: KubeObject): readonly string[] | undefined {
  const spec = live["spec"] as JsonObject | undefined;
  if (live.kind === "Pod") return ["spec"];
  if (live.kind === "PodTemplate") return ["template", "spec"];
  if (live.kind === "CronJob") return ["spec", "jobTemplate", "spec", "template", "spec"];
  return spec?.["template"] === undefined ? undefined : ["spec", "template", "spec"];
}
