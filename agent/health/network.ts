import type { KubeObject } from "#proto/object.ts";
import {
  asList,
  asObject,
  conditionsOf,
  current,
  explain,
  failed,
  inProgress,
  section,
  text,
  type Health,
} from "./condition.ts";

export function serviceHealth(object: KubeObject): Health {
  if (text(section(object, "spec")["type"]) !== "LoadBalancer") return current();
  const ports = conditionsOf(object).get("LoadBalancerPortsError");
  if (ports?.status === "True") return failed(explain(ports));
  return hasAddress(object) ? current() : inProgress("waits for a load balancer address");
}

/** Many controllers never write an address into an Ingress, so that none is no fault. */
export const ingressHealth = (object: KubeObject): Health => current(hasAddress(object) ? "" : "no address");

const hasAddress = (object: KubeObject): boolean =>
  asList(asObject(section(object, "status")["loadBalancer"])["ingress"]).length > 0;
