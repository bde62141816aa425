import type { JsonObject, KubeObject } from "#proto/object.ts";
import { asList, asObject, conditionsIn, explain, section, text, type Condition } from "./condition.ts";

/** Conditions that say something is wrong when they are true. */
const abnormal = new Set(["Stalled", "InvalidSpec", "Fallback", "InvalidRequest", "Denied"]);
/** Said of every object that is not done, and by its own reason of none. */
const vague = /^(?:|Pending|Unknown|NotReady|Progressing|.*NotReady)$/;

/**
 * What an object's status says is wrong with it, in its own words: its phase with its message, or the condition that
 * explains most. Empty when it says nothing.
 */
export function saidBy(object: KubeObject): string {
  const status = section(object, "status");
  const phase = text(status["phase"]);
  const message = ["message", "phaseReason", "failureMessage", "errorMessage", "error"]
    .map((field) => text(status[field]))
    .find((part) => part !== "");
  if (message !== undefined) return [phase, message].filter((part) => part !== "").join(": ");
  const [condition] = [status, ...partsOf(status)].flatMap(wrongIn).toSorted((a, b) => weight(b) - weight(a));
  return condition === undefined ? phase : explain(condition);
}

/** Parents of a route, listeners of a Gateway, bindings of a monitor: each with conditions of its own. */
const partsOf = (status: JsonObject): JsonObject[] =>
  ["parents", "ancestors", "listeners", "bindings"].flatMap((field) => asList(status[field]).map(asObject));

const wrongIn = (part: JsonObject): Condition[] =>
  [...conditionsIn(part).values()].filter(({ type, status }) =>
    // Anything but True: the operator of Prometheus also writes Degraded.
    abnormal.has(type) ? status === "True" : status !== "True" && status !== "",
  );

/** The reason of what went wrong, beside conditions that only say what is missing because of it. */
const isFailure = /fail|err|denied|invalid/i;

// False is worse than Unknown, a message says more than none, and a reason of its own more than a common one.
const weight = ({ status, message, reason, type }: Condition): number =>
  (abnormal.has(type) ? 16 : 0) +
  (isFailure.test(reason) ? 8 : 0) +
  (status === "Unknown" ? 0 : 4) +
  (vague.test(reason) ? 0 : 2) +
  (message === "" ? 0 : 1) +
  (isFailure.test(message) ? 1 : 0);
