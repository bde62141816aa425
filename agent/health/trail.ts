import type { JsonObject, KubeObject } from "#proto/object.ts";
import { groupOf } from "#proto/object.ts";
import { asList, asObject, section, text, type Health } from "./condition.ts";

/** Where to look for why an object is not well: its own events, or its Pods and theirs. */
export type Trail = {
  readonly uid: string;
  readonly namespace: string;
  readonly kind: string;
  readonly through: "replicaSets" | "pods" | "events";
  /** Label selector of the Pods, as the API takes it; empty when they are not looked for. */
  readonly selector: string;
};

const withPods = new Set([
  "apps/StatefulSet",
  "apps/DaemonSet",
  "apps/ReplicaSet",
  "/ReplicationController",
  "batch/Job",
]);

/** Undefined when nobody could say more: it is well, going away, gone, or its controller has not begun. */
export function trailOf(object: KubeObject, { state }: Health): Trail | undefined {
  if (state !== "InProgress" && state !== "Failed") return undefined;
  if (Object.keys(section(object, "status")).length === 0) return undefined;
  const { uid = "", namespace = "" } = object.metadata;
  const kind = `${groupOf(object.apiVersion)}/${object.kind}`;
  const selector = selectorOf(asObject(section(object, "spec")["selector"]));
  const base = { uid, namespace, kind: object.kind };
  if (selector === "") return { ...base, through: "events", selector };
  if (kind === "apps/Deployment") return { ...base, through: "replicaSets", selector };
  return withPods.has(kind) ? { ...base, through: "pods", selector } : { ...base, through: "events", selector: "" };
}

/** A LabelSelector, or the plain labels of a ReplicationController, in the API's notation; empty selects nothing here. */
function selectorOf(selector: JsonObject): string {
  const isPlain = Object.values(selector).every((value) => typeof value === "string");
  const labels = isPlain ? selector : asObject(selector["matchLabels"]);
  const equal = Object.entries(labels).map(([name, value]) => `${name}=${text(value)}`);
  const rules = asList(selector["matchExpressions"]).map((rule) => {
    const key = text(rule["key"]);
    const values = (Array.isArray(rule["values"]) ? rule["values"] : []).map(String).join(",");
    const operator = text(rule["operator"]);
    if (operator === "Exists") return key;
    if (operator === "DoesNotExist") return `!${key}`;
    return `${key} ${operator === "NotIn" ? "notin" : "in"} (${values})`;
  });
  return [...equal, ...rules].join(",");
}
