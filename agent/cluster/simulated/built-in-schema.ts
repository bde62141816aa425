import { byKeys, byValue, whole, type ListMerge, type Schema } from "./schema.ts";

// From the server's own OpenAPI (x-kubernetes-map-type: atomic). A name means the same wherever it stands, but for
// scalars, which are whole anyway.
const atomicNames = new Set(
  [
    "claimRef configMapKeyRef controllerExpandSecretRef controllerPublishSecretRef dataSource fieldRef fileKeyRef",
    "involvedObject labelSelector matchConstraints matchResources namespaceSelector nodeExpandSecretRef",
    "nodePublishSecretRef nodeSelector nodeStageSecretRef nodeTopology objectSelector paramKind paramRef podSelector",
    "port preference regarding related required requiredDuringSchedulingIgnoredDuringExecution resource",
    "resourceFieldRef roleRef scaleTargetRef scopeSelector secretKeyRef secretRef selector target targetRef",
  ].flatMap((line) => line.split(" ")),
);

// x-kubernetes-list-type: map, with its keys. Of these, the items of `wholeItems` are atomic themselves.
const listsByName = new Map<string, ListMerge>(
  [
    "claims containers env ephemeralContainers imagePullSecrets initContainers matchConditions resourceClaims",
    "schedulingGates secrets variables volumes webhooks",
  ]
    .flatMap((line) => line.split(" "))
    .map((name) => [name, byKeys(["name"])]),
);
for (const [name, keys] of [
  ["conditions", ["type"]],
  ["hostAliases", ["ip"]],
  ["podIPs", ["ip"]],
  ["topologySpreadConstraints", ["topologyKey", "whenUnsatisfiable"]],
  ["volumeDevices", ["devicePath"]],
  ["volumeMounts", ["mountPath"]],
  ["ownerReferences", ["uid"]],
] as const)
  listsByName.set(name, byKeys(keys));
const wholeItems = new Set(["imagePullSecrets", "ownerReferences", "secrets", "variables"]);

const containerPorts = byKeys(["containerPort", "protocol"], { protocol: "TCP" });
const servicePorts = byKeys(["port", "protocol"], { protocol: "TCP" });

/** How objects of the kinds that every API server serves merge. */
export function builtInSchema(kind: string): Schema {
  const listOf = (name: string, parent: string): ListMerge => {
    if (name === "finalizers") return parent === "metadata" ? byValue : whole;
    if (name === "ports") return kind === "Service" ? servicePorts : podSpecKinds.has(kind) ? containerPorts : whole;
    if (name === "addresses") return kind === "Node" ? byKeys(["type"]) : whole;
    return listsByName.get(name) ?? whole;
  };
  const node = (name: string, parent: string, isItem: boolean): Schema => ({
    isAtomic: isItem ? wholeItems.has(name) : atomicNames.has(name),
    list: isItem ? whole : listOf(name, parent),
    member: (inner) => (inner === "" ? node(name, parent, true) : node(inner, name, false)),
    names: () => true,
  });
  return node("", "", false);
}

const podSpecKinds = new Set([
  "Pod",
  "Deployment",
  "StatefulSet",
  "DaemonSet",
  "ReplicaSet",
  "Job",
  "CronJob",
  "PodTemplate",
  "ReplicationController",
]);
