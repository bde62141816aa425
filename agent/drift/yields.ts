import { groupOf, type Json, type KubeObject } from "#proto/object.ts";
import { ownedPaths, ownEntry } from "./fields.ts";
import { isWithin, valueAt, withValue } from "./paths.ts";

/** The field that an autoscaler takes over. */
export const replicasPath = "spec.replicas";

/** What a controller of the cluster fills in by design: giving it back its value of Git would break what depends on it. */
const builtIn: readonly {
  readonly group: string;
  readonly kind: string;
  readonly paths: (object: KubeObject) => string[];
}[] = [
  {
    // Healing would take everyone's permissions away until the controller has aggregated them again.
    group: "rbac.authorization.k8s.io",
    kind: "ClusterRole",
    paths: (object) => (object["aggregationRule"] === undefined ? [] : ["rules"]),
  },
  { group: "admissionregistration.k8s.io", kind: "MutatingWebhookConfiguration", paths: webhookBundles },
  { group: "admissionregistration.k8s.io", kind: "ValidatingWebhookConfiguration", paths: webhookBundles },
  {
    group: "apiextensions.k8s.io",
    kind: "CustomResourceDefinition",
    paths: () => ["spec.conversion.webhook.clientConfig.caBundle"],
  },
  { group: "apiregistration.k8s.io", kind: "APIService", paths: () => ["spec.caBundle"] },
];

/** Paths of this desired object that a controller may take from us. */
export function builtInYields(object: KubeObject): string[] {
  const rule = builtIn.find(({ group, kind }) => kind === object.kind && group === groupOf(object.apiVersion));
  return rule?.paths(object).filter((path) => valueAt(object, path) !== undefined) ?? [];
}

/**
 * What to apply when these paths are yielded: without those that our entry does not own any more. One that it still
 * owns stays, because an apply that leaves out what it owns removes it (replicas would fall to 1).
 */
export function withoutYielded(
  object: KubeObject,
  live: KubeObject | undefined,
  paths: readonly string[],
): { readonly object: KubeObject; readonly yielded: readonly string[] } {
  if (live === undefined || paths.length === 0) return { object, yielded: [] };
  const yielded = paths.filter((path) => valueAt(object, path) !== undefined && !owns(live, path));
  return { object: yielded.reduce((left, path) => withValue(left, path, undefined), object), yielded };
}

/** What to apply so that these fields stay as they are: what is ours with its present value, the rest left out. */
export function leavingAlone(object: KubeObject, live: KubeObject, paths: readonly string[]): KubeObject {
  return paths.reduce(
    (left, path) => withValue(left, path, owns(live, path) ? valueAt(live, path) : undefined),
    object,
  );
}

export function owns(live: KubeObject, path: string): boolean {
  return ownedPaths(ownEntry(live)?.fieldsV1 ?? {}).some((one) => isWithin(one, path) || isWithin(path, one));
}

/** A Job seen Complete is done: that it is deleted afterwards, as by its time to live, is no drift. */
export function isDone(object: KubeObject): boolean {
  if (object.kind !== "Job" || groupOf(object.apiVersion) !== "batch") return false;
  const conditions = valueAt(object, "status.conditions");
  return (Array.isArray(conditions) ? conditions : []).some(
    (condition) =>
      typeof condition === "object" &&
      condition !== null &&
      !Array.isArray(condition) &&
      condition["type"] === "Complete" &&
      condition["status"] === "True",
  );
}

function webhookBundles(object: KubeObject): string[] {
  const webhooks = object["webhooks"] as Json | undefined;
  return (Array.isArray(webhooks) ? webhooks : []).flatMap((_webhook, index) => {
    const name = valueAt(object, `webhooks[${index}].name`);
    return typeof name === "string" ? [`webhooks[name=${name}].clientConfig.caBundle`] : [];
  });
}
