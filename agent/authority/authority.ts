import { isAllowedNamespace, unlimited, type Limits } from "./limits.ts";

/** In whose name and within what the agent writes; from its own settings alone. */
export type Authority = {
  /** Tenant: never in the agent's own name. */
  readonly profile: "admin" | "tenant";
  readonly limits: Limits;
  /** "namespace/name", for Applications that name no ServiceAccount; empty when there is none. */
  readonly defaultServiceAccount: string;
};

export const wholeCluster: Authority = { profile: "admin", limits: unlimited, defaultServiceAccount: "" };

export type Identity =
  | { readonly kind: "agent" }
  | { readonly kind: "account"; readonly user: string }
  /** A sentence that says which rule it is. */
  | { readonly kind: "refused"; readonly because: string };

/** Who writes for an Application that names this ServiceAccount ("namespace/name", or nothing). `own`: the agent's namespace. */
export function identityOf(authority: Authority, own: string, named: string): Identity {
  const account = named === "" ? authority.defaultServiceAccount : named;
  if (account === "")
    return authority.profile === "admin"
      ? { kind: "agent" }
      : refused("it names no serviceAccount, and this cluster's agent has no default one");
  const [namespace, name, ...more] = account.split("/");
  if (!namespace || !name || more.length > 0) return refused(`serviceAccount ${account} is not written namespace/name`);
  // The default is this cluster's own choice; what a document names must not be the agent, nor anybody outside.
  if (named !== "" && named !== authority.defaultServiceAccount) {
    if (namespace === own) return refused(`serviceAccount ${account} is in the agent's own namespace`);
    if (!isAllowedNamespace(authority.limits, namespace))
      return refused(`serviceAccount ${account} is in a namespace that this cluster's agent does not allow`);
  }
  // Kubernetes gives such a user the groups of its ServiceAccount by itself, when none are asked for.
  return { kind: "account", user: `system:serviceaccount:${namespace}:${name}` };
}

const refused = (because: string): Identity => ({ kind: "refused", because });
