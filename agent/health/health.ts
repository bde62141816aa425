import { groupOf, type KubeObject } from "#proto/object.ts";
import {
  asList,
  asObject,
  conditionsOf,
  count,
  current,
  explain,
  failed,
  inProgress,
  section,
  text,
  type Health,
} from "./condition.ts";
import { daemonSetHealth, deploymentHealth, jobHealth, podHealth, statefulSetHealth } from "./workloads.ts";

type Rule = (object: KubeObject, nowMs: number) => Health;

const rules: Readonly<Record<string, Rule>> = {
  "apps/Deployment": deploymentHealth,
  "apps/StatefulSet": statefulSetHealth,
  "apps/DaemonSet": daemonSetHealth,
  "batch/Job": jobHealth,
  "/Pod": podHealth,
  "/Service": serviceHealth,
  "/PersistentVolumeClaim": claimHealth,
  "/Namespace": () => current(),
  "apiextensions.k8s.io/CustomResourceDefinition": definitionHealth,
};

/** Health of an object as kstatus computes it. Pure: the answer depends on nothing but the object and the time. */
export function healthOf(object: KubeObject | undefined, nowMs: number): Health {
  if (object === undefined) return { state: "NotFound", reason: "does not exist" };
  if (object.metadata.deletionTimestamp !== undefined)
    return { state: "Terminating", reason: terminatingReason(object) };
  const observed = section(object, "status")["observedGeneration"];
  if (
    observed !== undefined &&
    object.metadata.generation !== undefined &&
    count(observed) < object.metadata.generation
  )
    return inProgress("its controller has not seen the newest change");
  const rule = rules[`${groupOf(object.apiVersion)}/${object.kind}`];
  return rule === undefined ? genericHealth(object) : ruled(object, rule, nowMs);
}

/** The worst of many, for an Application: any Failed, then what still moves, then Unknown. */
export function worstOf(healths: Iterable<Health>): Health {
  const order = ["Failed", "NotFound", "Terminating", "InProgress", "Unknown", "Current"] as const;
  let worst = current();
  for (const health of healths) if (order.indexOf(health.state) < order.indexOf(worst.state)) worst = health;
  return worst;
}

// Controllers that report observedGeneration have not begun while it is missing.
const observing = new Set(["Deployment", "StatefulSet", "DaemonSet"]);

function ruled(object: KubeObject, rule: Rule, nowMs: number): Health {
  if (observing.has(object.kind) && section(object, "status")["observedGeneration"] === undefined)
    return inProgress("waits for its controller");
  return rule(object, nowMs);
}

function terminatingReason(object: KubeObject): string {
  const finalizers = object.metadata.finalizers ?? [];
  return finalizers.length === 0 ? "is being deleted" : `is being deleted, waits for ${finalizers.join(", ")}`;
}

// KEP-less convention of kstatus: Reconciling and Stalled are abnormal-true; Ready is normal-true.
function genericHealth(object: KubeObject): Health {
  const conditions = conditionsOf(object);
  const stalled = conditions.get("Stalled");
  if (stalled?.status === "True") return failed(explain(stalled));
  const reconciling = conditions.get("Reconciling");
  if (reconciling?.status === "True") return inProgress(explain(reconciling));
  const ready = conditions.get("Ready");
  if (ready !== undefined && ready.status !== "True") return inProgress(explain(ready));
  return current();
}

function serviceHealth(object: KubeObject): Health {
  if (text(section(object, "spec")["type"]) !== "LoadBalancer") return current();
  const ingress = asList(asObject(section(object, "status")["loadBalancer"])["ingress"]);
  return ingress.length > 0 ? current() : inProgress("waits for a load balancer address");
}

function claimHealth(object: KubeObject): Health {
  const phase = text(section(object, "status")["phase"]);
  if (phase === "Bound") return current();
  if (phase === "Lost") return failed("its volume is lost");
  return inProgress(`is ${phase || "not seen by its controller yet"}, not Bound`);
}

function definitionHealth(object: KubeObject): Health {
  const conditions = conditionsOf(object);
  const names = conditions.get("NamesAccepted");
  if (names?.status === "False") return failed(explain(names));
  const established = conditions.get("Established");
  if (established?.status === "True") return current();
  if (established?.status === "False" && established.reason !== "Installing") return failed(explain(established));
  return inProgress("is not Established yet");
}
