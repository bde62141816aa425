import type { Json, JsonObject, KubeObject } from "#proto/object.ts";

/** kstatus's words (cli-utils, pkg/kstatus), with the reason a person would look up. */
export type Health = {
  readonly state: HealthState;
  readonly reason: string;
  /** When it is another by time alone, if nothing is written before; epoch milliseconds. */
  readonly changesAtMs?: number;
};
export type HealthState = "Current" | "InProgress" | "Failed" | "Terminating" | "NotFound" | "Unknown";

/** One for all that are well: thousands of objects are, at each moment. */
const well: Health = { state: "Current", reason: "" };
export const current = (reason = ""): Health => (reason === "" ? well : { state: "Current", reason });
export const inProgress = (reason: string): Health => ({ state: "InProgress", reason });
/** In progress until then, and failed from then on; in progress without an end when nobody knows since when (NaN). */
export function inProgressUntil(changesAtMs: number, nowMs: number, inTime: string, late = inTime): Health {
  if (nowMs >= changesAtMs) return failed(late);
  return Number.isNaN(changesAtMs) ? inProgress(inTime) : { state: "InProgress", reason: inTime, changesAtMs };
}
export const failed = (reason: string): Health => ({ state: "Failed", reason });
export const unknown = (reason: string): Health => ({ state: "Unknown", reason });

export type Condition = {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly atMs: number;
  /** Generation of the object that it speaks of, where controllers say so. */
  readonly observedGeneration: number | undefined;
};

export const section = (object: KubeObject, name: "spec" | "status"): JsonObject => asObject(object[name] as Json);

export const asObject = (value: Json | undefined): JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};

export const asList = (value: Json | undefined): JsonObject[] => (Array.isArray(value) ? value.map(asObject) : []);

export const text = (value: Json | undefined): string => (typeof value === "string" ? value : "");

export const count = (value: Json | undefined, otherwise = 0): number =>
  typeof value === "number" || typeof value === "bigint" ? Number(value) : otherwise;

export const conditionsOf = (object: KubeObject): Map<string, Condition> => conditionsIn(section(object, "status"));

/** By type. */
export function conditionsIn(status: JsonObject): Map<string, Condition> {
  const conditions = asList(status["conditions"]).map((condition): [string, Condition] => [
    text(condition["type"]),
    {
      type: text(condition["type"]),
      status: text(condition["status"]),
      reason: text(condition["reason"]),
      message: text(condition["message"]),
      atMs: Date.parse(text(condition["lastTransitionTime"])),
      observedGeneration: observedGeneration(condition),
    },
  ]);
  return new Map(conditions);
}

/** Argo Rollouts writes it as text; old versions of it wrote a hash, which says nothing. */
export function observedGeneration(said: JsonObject): number | undefined {
  const observed = said["observedGeneration"];
  if (typeof observed === "string") return /^\d+$/.test(observed) ? Number(observed) : undefined;
  return observed === undefined || observed === null ? undefined : count(observed);
}

/** "ProgressDeadlineExceeded: ReplicaSet has timed out progressing", or what of it is there. */
export const explain = (condition: Condition): string =>
  [condition.reason || condition.type, condition.message].filter((part) => part !== "").join(": ");
