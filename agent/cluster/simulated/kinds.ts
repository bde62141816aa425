import type { KindInfo } from "#agent/cluster/cluster.ts";
import { kindKey } from "#agent/cluster/discovery.ts";
import { groupOf, type Json, type JsonObject, type KubeObject } from "#proto/object.ts";
import { builtInSchema } from "./built-in-schema.ts";
import { customSchema } from "./custom-schema.ts";
import type { Schema } from "./schema.ts";

/** A kind and how the server treats its objects. */
export type Kind = KindInfo & {
  readonly isCustom: boolean;
  readonly hasStatus: boolean;
  /** Counts changes of what is wanted in metadata.generation. */
  readonly hasGeneration: boolean;
  readonly schema: Schema;
  /** Members besides apiVersion, kind and metadata; undefined when any is taken. */
  readonly members: readonly string[] | undefined;
};

const verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

// apiVersion Kind resource scope members; scope is n(amespaced) or c(luster), then s(tatus) and g(eneration).
const table = `
v1 ConfigMap configmaps n data,binaryData,immutable
v1 Endpoints endpoints n subsets
v1 Event events n *
v1 LimitRange limitranges n spec
v1 Namespace namespaces cs spec,status
v1 Node nodes cs spec,status
v1 PersistentVolume persistentvolumes cs spec,status
v1 PersistentVolumeClaim persistentvolumeclaims ns spec,status
v1 Pod pods nsg spec,status
v1 PodTemplate podtemplates n template
v1 ReplicationController replicationcontrollers nsg spec,status
v1 ResourceQuota resourcequotas ns spec,status
v1 Secret secrets n data,stringData,immutable,type
v1 Service services ns spec,status
v1 ServiceAccount serviceaccounts n secrets,imagePullSecrets,automountServiceAccountToken
admissionregistration.k8s.io/v1 MutatingWebhookConfiguration mutatingwebhookconfigurations cg webhooks
admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy validatingadmissionpolicies csg spec,status
admissionregistration.k8s.io/v1 ValidatingAdmissionPolicyBinding validatingadmissionpolicybindings cg spec
admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration validatingwebhookconfigurations cg webhooks
apiextensions.k8s.io/v1 CustomResourceDefinition customresourcedefinitions csg spec,status
apiregistration.k8s.io/v1 APIService apiservices cs spec,status
apps/v1 ControllerRevision controllerrevisions n data,revision
apps/v1 DaemonSet daemonsets nsg spec,status
apps/v1 Deployment deployments nsg spec,status
apps/v1 ReplicaSet replicasets nsg spec,status
apps/v1 StatefulSet statefulsets nsg spec,status
autoscaling/v1 HorizontalPodAutoscaler horizontalpodautoscalers ns spec,status
autoscaling/v2 HorizontalPodAutoscaler horizontalpodautoscalers ns spec,status
batch/v1 CronJob cronjobs nsg spec,status
batch/v1 Job jobs nsg spec,status
coordination.k8s.io/v1 Lease leases n spec
discovery.k8s.io/v1 EndpointSlice endpointslices ng addressType,endpoints,ports
events.k8s.io/v1 Event events n *
networking.k8s.io/v1 Ingress ingresses nsg spec,status
networking.k8s.io/v1 IngressClass ingressclasses cg spec
networking.k8s.io/v1 NetworkPolicy networkpolicies ng spec
policy/v1 PodDisruptionBudget poddisruptionbudgets nsg spec,status
rbac.authorization.k8s.io/v1 ClusterRole clusterroles c rules,aggregationRule
rbac.authorization.k8s.io/v1 ClusterRoleBinding clusterrolebindings c subjects,roleRef
rbac.authorization.k8s.io/v1 Role roles n rules
rbac.authorization.k8s.io/v1 RoleBinding rolebindings n subjects,roleRef
scheduling.k8s.io/v1 PriorityClass priorityclasses cg value,globalDefault,description,preemptionPolicy
storage.k8s.io/v1 StorageClass storageclasses c *
`;

export type Kinds = {
  find(apiVersion: string, kind: string): Kind | undefined;
  /** Under the version that comes first. */
  findAny(group: string, kind: string): Kind | undefined;
  /** Serves what a CustomResourceDefinition defines, in place of what it defined before. */
  define(definition: KubeObject): void;
  forget(definition: KubeObject): void;
};

export function createKinds(): Kinds {
  const builtIn = builtInKinds();
  const custom = new Map<string, Map<string, Kind>>();
  return {
    find(apiVersion, kind) {
      const version = apiVersion.slice(apiVersion.indexOf("/") + 1);
      const key = kindKey(groupOf(apiVersion), version, kind);
      const found = [...custom.values()].map((kinds) => kinds.get(key)).find((one) => one !== undefined);
      return builtIn.get(key) ?? found;
    },
    findAny: (group, kind) =>
      [builtIn, ...custom.values()]
        .flatMap((kinds) => [...kinds.values()])
        .find((one) => one.group === group && one.kind === kind),
    define: (definition) => void custom.set(definition.metadata.name, mapOf(customKinds(definition))),
    forget: (definition) => void custom.delete(definition.metadata.name),
  };
}

const mapOf = (kinds: readonly Kind[]): Map<string, Kind> =>
  new Map(kinds.map((kind) => [kindKey(kind.group, kind.version, kind.kind), kind]));

function builtInKinds(): Map<string, Kind> {
  const lines = table.trim().split("\n");
  return mapOf(
    lines.map((line) => {
      const [apiVersion, kind, resource, traits, members] = line.split(" ") as [string, string, string, string, string];
      return {
        group: groupOf(apiVersion),
        version: apiVersion.slice(apiVersion.indexOf("/") + 1),
        kind,
        resource,
        namespaced: traits.startsWith("n"),
        verbs: kind === "Namespace" ? verbs.filter((verb) => verb !== "deletecollection") : verbs,
        isCustom: false,
        hasStatus: traits.includes("s"),
        hasGeneration: traits.includes("g"),
        schema: builtInSchema(kind),
        members: members === "*" ? undefined : members.split(","),
      };
    }),
  );
}

function customKinds(definition: KubeObject): Kind[] {
  const spec = definition["spec"] as {
    group: string;
    scope: string;
    names: { plural: string; kind: string };
    versions: { name: string; served: boolean; schema?: { openAPIV3Schema?: JsonObject }; subresources?: Json }[];
  };
  return spec.versions
    .filter(({ served }) => served)
    .map(({ name, schema, subresources }) => ({
      group: spec.group,
      version: name,
      kind: spec.names.kind,
      resource: spec.names.plural,
      namespaced: spec.scope === "Namespaced",
      verbs: ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"],
      isCustom: true,
      hasStatus: (subresources as JsonObject | undefined)?.["status"] !== undefined,
      hasGeneration: true,
      schema: customSchema(schema?.openAPIV3Schema),
      members: undefined,
    }));
}
