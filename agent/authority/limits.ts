import { groupOf, type KubeObject, type ObjectRef } from "#proto/object.ts";

/** What the people of this cluster let the fleet do here. Only this agent's own settings say it; no document of a hub can. */
export type Limits = {
  /** "apps/Deployment", "ConfigMap", "apps/*". */
  readonly kinds: readonly string[] | "any";
  /** "shop", "team-*". */
  readonly namespaces: readonly string[] | "any";
};

export const unlimited: Limits = { kinds: "any", namespaces: "any" };

/** The agent's own ServiceAccount, Roles and bindings are called this, or begin with it and a hyphen. */
export const ownName = "plumbline-agent";
const ownGroup = "plumbline.dev";
const rbacGroup = "rbac.authorization.k8s.io";

/** Which rule forbids this object here; undefined when none does. `own`: the agent's namespace. */
export const forbiddenBy = (limits: Limits, own: string, ref: ObjectRef): string | undefined =>
  ownRule(own, ref) ?? kindRule(limits, ref) ?? namespaceRule(limits, ref);

/** The same of a whole object, which also tells whom it gives rights to. */
export const forbiddenWhole = (limits: Limits, own: string, ref: ObjectRef, object: KubeObject): string | undefined =>
  forbiddenBy(limits, own, ref) ?? bindingRule(own, object);

/** The agent's memory, its rights and its own kinds: whoever writes them writes the agent. */
function ownRule(own: string, { group, kind, namespace, name }: ObjectRef): string | undefined {
  if (namespace === own || (group === "" && kind === "Namespace" && name === own))
    return "is in the agent's own namespace, where nothing is applied";
  if (group === rbacGroup && (name === ownName || name.startsWith(`${ownName}-`)))
    return "is the agent's own RBAC, which is not applied";
  const isOwnKind = kind === "CustomResourceDefinition" && (name === ownGroup || name.endsWith(`.${ownGroup}`));
  if (isOwnKind || group === ownGroup) return "is a kind of Plumbline's own, which is not applied";
  return undefined;
}

function bindingRule(own: string, object: KubeObject): string | undefined {
  if (groupOf(object.apiVersion) !== rbacGroup || !object.kind.endsWith("Binding")) return undefined;
  const subjects = (object["subjects"] ?? []) as { kind?: string; namespace?: string; name?: string }[];
  const isAgent = ({ kind, namespace, name }: (typeof subjects)[number]): boolean =>
    (kind === "ServiceAccount" && namespace === own) ||
    (kind === "User" && name?.startsWith(`system:serviceaccount:${own}:`) === true) ||
    (kind === "Group" && name === `system:serviceaccounts:${own}`);
  return subjects.some(isAgent) ? "gives rights to the agent's own namespace" : undefined;
}

function kindRule({ kinds }: Limits, { group, kind }: ObjectRef): string | undefined {
  if (kinds === "any" || kinds.includes(nameOfKind(group, kind)) || kinds.includes(`${group}/*`)) return undefined;
  return `is of kind ${nameOfKind(group, kind)}, which this cluster's agent does not allow (${kinds.join(", ")})`;
}

function namespaceRule(limits: Limits, ref: ObjectRef): string | undefined {
  const { namespaces } = limits;
  if (namespaces === "any") return undefined;
  const isNamespace = ref.group === "" && ref.kind === "Namespace";
  const namespace = isNamespace ? ref.name : ref.namespace;
  if (namespace !== "")
    return isAllowedNamespace(limits, namespace)
      ? undefined
      : `is in namespace ${namespace}, which this cluster's agent does not allow (${namespaces.join(", ")})`;
  // What is in no namespace reaches into all: only naming its very kind allows it.
  if (limits.kinds !== "any" && limits.kinds.includes(nameOfKind(ref.group, ref.kind))) return undefined;
  return "is in no namespace, and this cluster's agent allows only some: name its kind to allow it";
}

export function isAllowedNamespace({ namespaces }: Limits, namespace: string): boolean {
  if (namespaces === "any") return true;
  return namespaces.some((one) => (one.endsWith("*") ? namespace.startsWith(one.slice(0, -1)) : one === namespace));
}

/** The namespaces by name; undefined when there is no such list. */
export const namedNamespaces = ({ namespaces }: Limits): readonly string[] | undefined =>
  namespaces === "any" || namespaces.some((one) => one.endsWith("*")) ? undefined : namespaces;

const nameOfKind = (group: string, kind: string): string => (group === "" ? kind : `${group}/${kind}`);
