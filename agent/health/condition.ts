import type { Json, JsonObject, KubeObject } from "#proto/object.ts";

/** kstatus's words (cli-utils, pkg/kstatus), with the reason a person would look up. */
export type Health = { readonly state: HealthState; readonly reason: string };
export type HealthState = "Current" | "InProgress" | "Failed" | "Terminating" | "NotFound" | "Unknown";

export const current = (reason = ""): Health => ({ state: "Current", reason });
export const inProgress = (reason: string): Health => ({ state: "InProgress", reason });
export const failed = (reason: string): Health => ({ state: "Failed", reason });

export type Condition = { type: string; status: string; reason: string; message: string; atMs: number };

export const section = (object: KubeObject, name: "spec" | "status"): JsonObject => asObject(object[name] as Json);

export const asObject = (value: Json | undefined): JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};

export const asList = (value: Json | undefined): JsonObject[] => (Array.isArray(value) ? value.map(asObject) : []);

export const text = (value: Json | undefined): string => (typeof value === "string" ? value : "");

export const count = (value: Json | undefined, otherwise = 0): number =>
  typeof value === "number" || typeof value === "bigint" ? Number(value) : otherwise;

export function conditionsOf(object: KubeObject): Map<string, Condition> {
  const conditions = asList(section(object, "status")["conditions"]).map((condition): [string, Condition] => [
    text(condition["type"]),
    {
      type: text(condition["type"]),
      status: text(condition["status"]),
      reason: text(condition["reason"]),
      message: text(condition["message"]),
      atMs: Date.parse(text(condition["lastTransitionTime"])),
    },
  ]);
  return new Map(conditions);
}

/** "ProgressDeadlineExceeded: ReplicaSet has timed out progressing", or what of it is there. */
export const explain = (condition: Condition): string =>
  [condition.reason || condition.type, condition.message].filter((part) => part !== "").join(": ");
