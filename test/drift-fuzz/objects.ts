import { readFile } from "node:fs/promises";
import { readKubeYaml } from "#hub/render/kube-yaml.ts";
import type { JsonObject, KubeObject } from "#proto/object.ts";
import { accessObjects, clusterObjects, customObjects } from "./cluster-objects.ts";

const corpus = new URL("../corpus/podinfo/deploy/bases/", import.meta.url);
const fromCorpus = [
  "backend/deployment.yaml",
  "backend/hpa.yaml",
  "backend/service.yaml",
  "cache/deployment.yaml",
  "database/cronjob-backup-daily.yaml",
  "database/pvc-primary.yaml",
  "database/serviceaccount.yaml",
  "database/service-primary.yaml",
  "database/statefulset-primary.yaml",
  "frontend/hpa.yaml",
  "frontend/service.yaml",
];

/**
 * Objects of at least 30 kinds: the corpus's and hand-written ones. Those without a namespace carry its name. A
 * HorizontalPodAutoscaler scales the backend; nothing else of it acts on another.
 */
export async function fuzzedObjects(namespace: string): Promise<KubeObject[]> {
  const files = await Promise.all(
    fromCorpus.map(async (file) => readKubeYaml(file, await readFile(new URL(file, corpus)))),
  );
  const read = files.flat().map(({ value }) => value as unknown as KubeObject);
  const backend = read.find(({ kind, metadata }) => kind === "Deployment" && metadata.name === "backend")!;
  (backend["spec"] as JsonObject)["replicas"] = 2;
  const inside = [...read, ...handWritten()].map((object) => ({
    ...object,
    metadata: { ...object.metadata, namespace },
  }));
  return [
    ...inside,
    ...limits(namespace),
    ...accessObjects(namespace),
    ...clusterObjects(namespace),
    ...customObjects(namespace),
  ];
}

const labels = { app: "web", tier: "front" };
const pod = (restartPolicy: string, more: JsonObject = {}): JsonObject => ({
  metadata: { labels },
  spec: {
    restartPolicy,
    terminationGracePeriodSeconds: 0,
    securityContext: {},
    containers: [
      {
        name: "web",
        image: "shop:1",
        args: [],
        env: [
          { name: "LEVEL", value: "info" },
          { name: "ZONE", value: "eu" },
        ],
        ports: [{ name: "http", containerPort: 8080 }],
        resources: { requests: { cpu: "1000m", memory: "64Mi" } },
        volumeMounts: [{ name: "scratch", mountPath: "/scratch", readOnly: false }],
      },
      { name: "proxy", image: "proxy:2", command: ["proxy", "--listen"] },
    ],
    volumes: [{ name: "scratch", emptyDir: {} }],
    ...more,
  },
});

const handWritten = (): KubeObject[] => [
  {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "settings" },
    data: { level: "info", zone: "eu", "a.yaml": "x: 1\n" },
  },
  { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "empty", annotations: { note: "empty" } }, data: {} },
  {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "token" },
    type: "Opaque",
    data: { user: base64(`${secretMark}-user`), password: base64(`${secretMark}-password`) },
  },
  {
    apiVersion: "apps/v1",
    kind: "DaemonSet",
    metadata: { name: "logs" },
    spec: {
      selector: { matchLabels: labels },
      template: pod("Always", { hostNetwork: false, tolerations: [{ operator: "Exists" }] }),
    },
  },
  {
    apiVersion: "apps/v1",
    kind: "ReplicaSet",
    metadata: { name: "bare" },
    spec: { replicas: 1, selector: { matchLabels: labels }, template: pod("Always") },
  },
  {
    apiVersion: "v1",
    kind: "ReplicationController",
    metadata: { name: "old" },
    spec: { replicas: 1, selector: labels, template: pod("Always") },
  },
  { apiVersion: "v1", kind: "PodTemplate", metadata: { name: "shape" }, template: pod("Always") },
  { apiVersion: "v1", kind: "Pod", ...pod("Never"), metadata: { name: "lone", labels } },
  {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name: "once" },
    spec: { backoffLimit: 2, parallelism: 1, suspend: true, template: pod("Never") },
  },
  {
    apiVersion: "networking.k8s.io/v1",
    kind: "Ingress",
    metadata: { name: "web", annotations: { "nginx.example.org/rewrite": "/" } },
    spec: {
      ingressClassName: "public",
      tls: [{ hosts: ["shop.example.org"], secretName: "tls" }],
      rules: [
        {
          host: "shop.example.org",
          http: {
            paths: [{ path: "/", pathType: "Prefix", backend: { service: { name: "web", port: { number: 80 } } } }],
          },
        },
      ],
    },
  },
  {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { name: "web" },
    spec: {
      podSelector: { matchLabels: labels },
      policyTypes: ["Ingress", "Egress"],
      ingress: [
        { from: [{ podSelector: { matchLabels: { app: "front" } } }], ports: [{ port: 8080, protocol: "TCP" }] },
      ],
      egress: [],
    },
  },
  {
    apiVersion: "policy/v1",
    kind: "PodDisruptionBudget",
    metadata: { name: "web" },
    spec: { minAvailable: "50%", selector: { matchLabels: labels } },
  },
  {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: "outside" },
    addressType: "IPv4",
    endpoints: [{ addresses: ["192.0.2.7"], conditions: { ready: true } }],
    ports: [{ name: "http", port: 8080, protocol: "TCP" }],
  },
  {
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata: { name: "leader" },
    spec: { holderIdentity: "a", leaseDurationSeconds: 15 },
  },
];

/** What limits a namespace must not limit the others. */
function limits(beside: string): KubeObject[] {
  const namespace = `${beside}-limits`;
  return [
    { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace, annotations: { owner: "shop" } } },
    {
      apiVersion: "v1",
      kind: "ResourceQuota",
      metadata: { name: "room", namespace },
      spec: { hard: { pods: "10", "requests.cpu": "2000m" }, scopes: ["NotTerminating"] },
    },
    {
      apiVersion: "v1",
      kind: "LimitRange",
      metadata: { name: "room", namespace },
      spec: { limits: [{ type: "Container", default: { cpu: "500m" }, defaultRequest: { cpu: "100m" } }] },
    },
  ];
}

/** Stands in every value of the Secret: it must be in nothing that the agent says. */
export const secretMark = "not-to-be-told";
export const base64 = (text: string): string => Buffer.from(text).toString("base64");
