import type { JsonObject, KubeObject } from "#proto/object.ts";

const rbac = "rbac.authorization.k8s.io";
const nobody = "never.example.org";

export const accessObjects = (namespace: string): KubeObject[] => [
  {
    apiVersion: `${rbac}/v1`,
    kind: "Role",
    metadata: { name: "reader", namespace },
    rules: [{ apiGroups: [""], resources: ["pods", "pods/log"], verbs: ["get", "list"] }],
  },
  {
    apiVersion: `${rbac}/v1`,
    kind: "RoleBinding",
    metadata: { name: "reader", namespace },
    roleRef: { apiGroup: rbac, kind: "Role", name: "reader" },
    subjects: [{ kind: "ServiceAccount", name: "database", namespace }],
  },
  {
    apiVersion: `${rbac}/v1`,
    kind: "ClusterRole",
    metadata: { name: `${namespace}-reader`, labels: { aggregate: "yes" } },
    rules: [{ apiGroups: [nobody], resources: ["things"], verbs: ["get"] }],
  },
  {
    apiVersion: `${rbac}/v1`,
    kind: "ClusterRole",
    metadata: { name: `${namespace}-all` },
    aggregationRule: { clusterRoleSelectors: [{ matchLabels: { aggregate: namespace } }] },
    rules: [],
  },
  {
    apiVersion: `${rbac}/v1`,
    kind: "ClusterRoleBinding",
    metadata: { name: `${namespace}-reader` },
    roleRef: { apiGroup: rbac, kind: "ClusterRole", name: `${namespace}-reader` },
    subjects: [{ kind: "User", apiGroup: rbac, name: "nobody" }],
  },
];

const webhook = (name: string): JsonObject => ({
  name,
  admissionReviewVersions: ["v1"],
  sideEffects: "None",
  failurePolicy: "Ignore",
  clientConfig: { service: { namespace: "nowhere", name: "hook", path: "/" } },
  rules: [{ apiGroups: [nobody], apiVersions: ["v1"], operations: ["CREATE"], resources: ["things"] }],
});

/** What they configure is used by nobody here. */
export const clusterObjects = (namespace: string): KubeObject[] => [
  {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingWebhookConfiguration",
    metadata: { name: namespace },
    webhooks: [webhook(`a.${nobody}`), webhook(`b.${nobody}`)],
  },
  {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "MutatingWebhookConfiguration",
    metadata: { name: namespace },
    webhooks: [webhook(`a.${nobody}`)],
  },
  {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingAdmissionPolicy",
    metadata: { name: namespace },
    spec: {
      failurePolicy: "Ignore",
      matchConstraints: {
        resourceRules: [{ apiGroups: [nobody], apiVersions: ["v1"], operations: ["CREATE"], resources: ["things"] }],
      },
      validations: [{ expression: "true", message: "always" }],
    },
  },
  {
    apiVersion: "apiregistration.k8s.io/v1",
    kind: "APIService",
    metadata: { name: `v1.${namespace}.${nobody}` },
    spec: {
      group: `${namespace}.${nobody}`,
      version: "v1",
      groupPriorityMinimum: 100,
      versionPriority: 10,
      insecureSkipTLSVerify: true,
      service: { namespace: "nowhere", name: "api", port: 443 },
    },
  },
  {
    apiVersion: "scheduling.k8s.io/v1",
    kind: "PriorityClass",
    metadata: { name: namespace },
    value: 1000,
    description: "of the shop",
    globalDefault: false,
  },
  {
    apiVersion: "storage.k8s.io/v1",
    kind: "StorageClass",
    metadata: { name: namespace },
    provisioner: nobody,
    parameters: { type: "fast" },
    allowVolumeExpansion: true,
    mountOptions: ["noatime"],
  },
  {
    apiVersion: "storage.k8s.io/v1",
    kind: "CSIDriver",
    metadata: { name: `${namespace}.${nobody}` },
    spec: { attachRequired: false, podInfoOnMount: true },
  },
  {
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: { name: namespace },
    spec: {
      capacity: { storage: "1Gi" },
      accessModes: ["ReadWriteOnce"],
      persistentVolumeReclaimPolicy: "Retain",
      storageClassName: "none",
      hostPath: { path: "/nowhere" },
    },
  },
  {
    apiVersion: "networking.k8s.io/v1",
    kind: "IngressClass",
    metadata: { name: namespace },
    spec: {
      controller: `${nobody}/ingress`,
      parameters: { kind: "Things", name: "x", apiGroup: nobody, scope: "Cluster" },
    },
  },
  {
    apiVersion: "node.k8s.io/v1",
    kind: "RuntimeClass",
    metadata: { name: namespace },
    handler: "runc",
    scheduling: { nodeSelector: { disk: "ssd" } },
  },
  {
    apiVersion: "flowcontrol.apiserver.k8s.io/v1",
    kind: "PriorityLevelConfiguration",
    metadata: { name: namespace },
    spec: { type: "Limited", limited: { nominalConcurrencyShares: 1, limitResponse: { type: "Reject" } } },
  },
];

const crd = (namespace: string, kind: string, schema: JsonObject): KubeObject => {
  const plural = `${kind.toLowerCase()}s`;
  const group = `${namespace}.example.org`;
  const openAPIV3Schema = {
    type: "object",
    properties: { spec: schema, status: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
  };
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: "Namespaced",
      names: { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List` },
      versions: [
        { name: "v1", served: true, storage: true, subresources: { status: {} }, schema: { openAPIV3Schema } },
      ],
    },
  };
};

const text = { type: "string" };
const marked: JsonObject = {
  type: "object",
  properties: {
    size: { type: "integer", default: 3 },
    quantity: { "x-kubernetes-int-or-string": true },
    parts: {
      type: "array",
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["name"],
      items: {
        type: "object",
        required: ["name"],
        properties: { name: text, weight: { type: "integer" }, note: text },
      },
    },
    tags: { type: "array", "x-kubernetes-list-type": "set", items: text },
    whole: { type: "object", "x-kubernetes-map-type": "atomic", additionalProperties: text },
    plain: { type: "array", items: text },
    options: { type: "object", additionalProperties: text },
  },
};
const unmarked: JsonObject = { type: "object", "x-kubernetes-preserve-unknown-fields": true };

/** CRDs with and without merge markers, one object of each, and a CRD that nobody uses. */
export function customObjects(namespace: string): KubeObject[] {
  const apiVersion = `${namespace}.example.org/v1`;
  return [
    crd(namespace, "Gadget", marked),
    crd(namespace, "Lump", unmarked),
    crd(namespace, "Idle", unmarked),
    {
      apiVersion,
      kind: "Gadget",
      metadata: { name: "one", namespace },
      spec: {
        quantity: "1000m",
        parts: [
          { name: "a", weight: 1 },
          { name: "b", note: "second" },
        ],
        tags: ["x", "y"],
        whole: { k: "v" },
        plain: ["p", "q"],
        options: { o: "1" },
      },
    },
    {
      apiVersion,
      kind: "Lump",
      metadata: { name: "one", namespace },
      spec: {
        deep: { list: [{ a: 1 }, { a: 2 }], flag: false, none: {}, text: "t" },
        big: 9007199254740993n,
        empty: [],
      },
    },
  ];
}
