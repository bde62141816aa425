/** Any JSON value, with integers beyond 2^53 as bigint (Kubernetes keeps int64 exactly). */
export type Json = null | boolean | number | bigint | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

/** A Kubernetes object as it stands in a manifest or an API server's answer. */
export type KubeObject = {
  apiVersion: string;
  kind: string;
  metadata: ObjectMetadata;
} & { [field: string]: Json | ObjectMetadata | undefined };

export type ObjectMetadata = {
  name: string;
  namespace?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  finalizers?: string[];
  managedFields?: ManagedFieldsEntry[];
  [field: string]: unknown;
};

export type ManagedFieldsEntry = {
  manager: string;
  operation: "Apply" | "Update";
  apiVersion?: string;
  time?: string;
  fieldsType?: string;
  fieldsV1?: JsonObject;
  subresource?: string;
};

/**
 * Identity of an object within one cluster. No version: the API server serves one object under several, and an
 * inventory must find it again after its CRD moved on.
 */
export type ObjectRef = { group: string; kind: string; namespace: string; name: string };

export function refOf(object: Pick<KubeObject, "apiVersion" | "kind" | "metadata">): ObjectRef {
  return {
    group: groupOf(object.apiVersion),
    kind: object.kind,
    namespace: object.metadata.namespace ?? "",
    name: object.metadata.name,
  };
}

/** "apps" for "apps/v1", "" for "v1". */
export function groupOf(apiVersion: string): string {
  const slash = apiVersion.indexOf("/");
  return slash < 0 ? "" : apiVersion.slice(0, slash);
}

/** Key for maps and sorting; `parseRefKey` is its inverse. No part can hold a slash. */
export const refKey = (ref: ObjectRef): string => `${ref.group}/${ref.kind}/${ref.namespace}/${ref.name}`;

export function parseRefKey(key: string): ObjectRef {
  const parts = key.split("/");
  if (parts.length !== 4) throw new Error(`object key must have four parts: ${JSON.stringify(key)}`);
  const [group, kind, namespace, name] = parts as [string, string, string, string];
  return { group, kind, namespace, name };
}

/** "group/Kind" that a CustomResourceDefinition defines, and whether its objects have a namespace. */
export function kindDefinedBy(definition: KubeObject): { kind: string; isNamespaced: boolean } {
  const spec = definition["spec"] as { group?: string; scope?: string; names?: { kind?: string } } | undefined;
  return { kind: `${spec?.group}/${spec?.names?.kind}`, isNamespaced: spec?.scope === "Namespaced" };
}

/** "Deployment shop/web", "Namespace shop": how people see an object named. */
export const describeRef = (ref: ObjectRef): string =>
  `${ref.kind} ${ref.namespace === "" ? "" : `${ref.namespace}/`}${ref.name}`;
