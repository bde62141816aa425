import { groupOf, type KubeObject } from "#proto/object.ts";
import { conditionsOf, current, inProgress, observedGeneration, section, type Health } from "./condition.ts";
import {
  admissionPolicyHealth,
  apiServiceHealth,
  autoscalerHealth,
  definitionHealth,
  disruptionBudgetHealth,
  flowSchemaHealth,
  namespaceHealth,
  namespaceRemains,
} from "./control.ts";
import { abnormalHealth, genericHealth } from "./generic.ts";
import { cronJobHealth, jobHealth } from "./jobs.ts";
import { ingressHealth, serviceHealth } from "./network.ts";
import { podHealth } from "./pods.ts";
import { migrationHealth, quotaHealth, resourceClaimHealth, signingRequestHealth } from "./requests.ts";
import type { HealthRules } from "./rules.ts";
import { shown } from "#lib/shown.ts";
import { attachmentHealth, claimHealth, volumeHealth } from "./storage.ts";
import { daemonSetHealth, deploymentHealth, replicaSetHealth, statefulSetHealth } from "./workloads.ts";

type Rule = (object: KubeObject, nowMs: number) => Health;

const rules: Readonly<Record<string, Rule>> = {
  "apps/Deployment": deploymentHealth,
  "apps/StatefulSet": statefulSetHealth,
  "apps/DaemonSet": daemonSetHealth,
  "apps/ReplicaSet": replicaSetHealth,
  "/ReplicationController": replicaSetHealth,
  "batch/Job": jobHealth,
  "batch/CronJob": cronJobHealth,
  "/Pod": podHealth,
  "/Service": serviceHealth,
  "networking.k8s.io/Ingress": ingressHealth,
  "/PersistentVolumeClaim": claimHealth,
  "/PersistentVolume": volumeHealth,
  "storage.k8s.io/VolumeAttachment": attachmentHealth,
  "/Namespace": namespaceHealth,
  "policy/PodDisruptionBudget": disruptionBudgetHealth,
  "autoscaling/HorizontalPodAutoscaler": autoscalerHealth,
  "apiextensions.k8s.io/CustomResourceDefinition": definitionHealth,
  "apiregistration.k8s.io/APIService": apiServiceHealth,
  "certificates.k8s.io/CertificateSigningRequest": signingRequestHealth,
  "/ResourceQuota": quotaHealth,
  "resource.k8s.io/ResourceClaim": resourceClaimHealth,
  "storagemigration.k8s.io/StorageVersionMigration": migrationHealth,
  "flowcontrol.apiserver.k8s.io/FlowSchema": flowSchemaHealth,
  "admissionregistration.k8s.io/ValidatingAdmissionPolicy": admissionPolicyHealth,
};

/** Kinds with a rule of their own, as "apps/Deployment". */
export const judgedKinds: readonly string[] = Object.keys(rules);

/** Kinds whose controller has not begun while `observedGeneration` is missing. */
const observing = new Set([
  "apps/Deployment",
  "apps/StatefulSet",
  "apps/DaemonSet",
  "apps/ReplicaSet",
  "/ReplicationController",
  "policy/PodDisruptionBudget",
]);

/**
 * Health of an object: by the fleet's rule or the shipped one for its kind, by the built-in rule, or by the conventions
 * of kstatus. Pure: the answer depends on nothing but the arguments.
 */
export function healthOf(object: KubeObject | undefined, nowMs: number, custom: HealthRules): Health {
  const health = verdictOn(object, nowMs, custom);
  return health.reason === "" ? health : { ...health, reason: shown(health.reason, shownReason) };
}

/** Conditions of controllers quote what they failed at, at length. */
const shownReason = 600;

function verdictOn(object: KubeObject | undefined, nowMs: number, custom: HealthRules): Health {
  if (object === undefined) return { state: "NotFound", reason: "does not exist" };
  if (object.metadata.deletionTimestamp !== undefined)
    return { state: "Terminating", reason: terminatingReason(object) };
  const observed = observedGeneration(section(object, "status"));
  const kind = `${groupOf(object.apiVersion)}/${object.kind}`;
  if (observed === undefined && observing.has(kind)) return inProgress("waits for its controller");
  const judge = custom(object);
  if (observed !== undefined && object.metadata.generation !== undefined && observed < object.metadata.generation) {
    // Flux counts a generation as observed only once it was taken; until then its conditions say what goes wrong with it.
    const verdict = isSpokenOf(object) ? judge?.(object) : undefined;
    return verdict?.state === "Failed" ? verdict : inProgress("its controller has not seen the newest change");
  }
  if (judge !== undefined) return judge(object);
  const rule = rules[kind];
  return rule === undefined ? genericHealth(object) : (abnormalHealth(object) ?? rule(object, nowMs));
}

/** The worst of many, for an Application: any Failed, then what still moves, then Unknown. */
export function worstOf(healths: Iterable<Health>): Health {
  const order = ["Failed", "NotFound", "Terminating", "InProgress", "Unknown", "Current"] as const;
  let worst = current();
  for (const health of healths) if (order.indexOf(health.state) < order.indexOf(worst.state)) worst = health;
  return worst;
}

/** Some condition says that it speaks of the newest generation. */
const isSpokenOf = (object: KubeObject): boolean =>
  [...conditionsOf(object).values()].some(
    ({ observedGeneration }) => observedGeneration === object.metadata.generation,
  );

function terminatingReason(object: KubeObject): string {
  const finalizers = object.metadata.finalizers ?? [];
  const waits = finalizers.length === 0 ? "is being deleted" : `is being deleted, waits for ${finalizers.join(", ")}`;
  return [waits, namespaceRemains(object)].filter((part) => part !== "").join(": ");
}
