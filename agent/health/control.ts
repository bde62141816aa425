import type { KubeObject } from "#proto/object.ts";
import {
  asList,
  asObject,
  conditionsOf,
  count,
  current,
  explain,
  failed,
  inProgress,
  inProgressUntil,
  section,
  text,
  type Health,
} from "./condition.ts";

export function definitionHealth(object: KubeObject): Health {
  const conditions = conditionsOf(object);
  const names = conditions.get("NamesAccepted");
  if (names?.status === "False") return failed(explain(names));
  const established = conditions.get("Established");
  if (established?.status === "True") return current();
  if (established?.status === "False" && established.reason !== "Installing") return failed(explain(established));
  return inProgress("is not Established yet");
}

/** A server behind an APIService comes and goes with its pods; nothing here says that it never will. */
export function apiServiceHealth(object: KubeObject): Health {
  const available = conditionsOf(object).get("Available");
  if (available === undefined) return inProgress("waits for its controller");
  return available.status === "True" ? current() : inProgress(explain(available));
}

export function namespaceHealth(object: KubeObject): Health {
  if (text(section(object, "status")["phase"]) !== "Terminating") return current();
  return { state: "Terminating", reason: namespaceRemains(object) || "is being deleted" };
}

/** What keeps a Namespace from going away, as its controller says it; empty when it says nothing. */
export function namespaceRemains(object: KubeObject): string {
  if (object.kind !== "Namespace") return "";
  const kept = [...conditionsOf(object).values()].filter(
    ({ type, status }) => status === "True" && /^Namespace(?:Deletion|ContentRemaining|FinalizersRemaining)/.test(type),
  );
  return kept.map(({ message, reason }) => message || reason).join("; ");
}

export function disruptionBudgetHealth(object: KubeObject): Health {
  const status = section(object, "status");
  const allowed = conditionsOf(object).get("DisruptionAllowed");
  if (allowed?.reason === "SyncFailed") return failed(explain(allowed));
  const healthy = count(status["currentHealthy"]);
  const wanted = count(status["desiredHealthy"]);
  return healthy < wanted ? inProgress(`${healthy} of ${wanted} wanted pods are healthy`) : current();
}

// Metrics of pods that have just started are missing for as long as the metrics server looks away, minutes at most.
const metricsGraceMs = 300_000;

export function autoscalerHealth(object: KubeObject, nowMs: number): Health {
  const conditions = conditionsOf(withConditionsOfV1(object));
  const able = conditions.get("AbleToScale");
  if (able === undefined) return inProgress("waits for its controller");
  const active = conditions.get("ScalingActive");
  for (const condition of [able, active]) {
    if (condition?.status !== "False" || !/^(?:Failed|Invalid|Ambiguous)/.test(condition.reason)) continue;
    return inProgressUntil(condition.atMs + metricsGraceMs, nowMs, explain(condition));
  }
  // ScalingDisabled: its target has no replicas, as somebody wanted it.
  return current(active?.status === "False" ? explain(active) : "");
}

/** autoscaling/v1 has no conditions; the server puts those of v2 into an annotation. */
function withConditionsOfV1(object: KubeObject): KubeObject {
  const written = object.metadata.annotations?.["autoscaling.alpha.kubernetes.io/conditions"];
  if (section(object, "status")["conditions"] !== undefined || written === undefined) return object;
  try {
    return { ...object, status: { ...section(object, "status"), conditions: JSON.parse(written) as never } };
  } catch {
    return object;
  }
}

export function flowSchemaHealth(object: KubeObject): Health {
  const dangling = conditionsOf(object).get("Dangling");
  return dangling?.status === "True" ? failed(explain(dangling)) : current();
}

export function admissionPolicyHealth(object: KubeObject): Health {
  const warnings = asList(asObject(section(object, "status")["typeChecking"])["expressionWarnings"]);
  return current(warnings.map((each) => `${text(each["fieldRef"])}: ${text(each["warning"])}`).join("; "));
}
