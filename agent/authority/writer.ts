import type { Cluster, ObjectAddress } from "#agent/cluster/cluster.ts";
import { ApiError } from "#agent/cluster/errors.ts";
import { refOf, type KubeObject } from "#proto/object.ts";
import { identityOf, type Authority } from "./authority.ts";
import { forbiddenBy, forbiddenWhole } from "./limits.ts";

/** The one door for what is written for Applications: first applies, heals and prunes alike. */
export type Writer = Pick<Cluster, "apply" | "create" | "replace" | "delete">;

/** Kubernetes' word for such a refusal is Forbidden; this one is the agent's own, before any request. */
export const notAllowedHere = "NotAllowedHere";

/** Writes in the name of an Application's ServiceAccount, within this cluster's limits. `own`: the agent's namespace. */
export function openWriter(cluster: Cluster, authority: Authority, own: string, serviceAccount: string): Writer {
  const identity = identityOf(authority, own, serviceAccount);
  const through = identity.kind === "account" ? cluster.as(identity.user) : cluster;
  const passing = <T>(because: string | undefined, write: () => Promise<T>): Promise<T> => {
    const forbidden = identity.kind === "refused" ? identity.because : because;
    return forbidden === undefined ? write() : Promise.reject(refusal(forbidden));
  };
  const whole = <T>(object: KubeObject, write: () => Promise<T>): Promise<T> =>
    passing(forbiddenWhole(authority.limits, own, refOf(object), object), write);
  return {
    apply: (object, options) => whole(object, () => through.apply(object, options)),
    create: (object, signal) => whole(object, () => through.create(object, signal)),
    replace: (object, signal) => whole(object, () => through.replace(object, signal)),
    delete: (address: ObjectAddress, options) =>
      passing(forbiddenBy(authority.limits, own, address), () => through.delete(address, options)),
  };
}

const refusal = (message: string): ApiError => new ApiError(403, { reason: notAllowedHere, message });
