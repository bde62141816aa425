import type { JsonObject, KubeObject } from "#proto/object.ts";
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
  unknown,
  type Health,
} from "./condition.ts";

// kstatus: a Pod that cannot be scheduled for so long will not be without help.
const schedulingGraceMs = 15_000;
const hopelessWaiting = new Set([
  "CrashLoopBackOff",
  "ImagePullBackOff",
  "ErrImagePull",
  "ErrImageNeverPull",
  "InvalidImageName",
  "CreateContainerConfigError",
  "CreateContainerError",
  "RunContainerError",
]);

export function podHealth(object: KubeObject, nowMs: number): Health {
  const status = section(object, "status");
  const conditions = conditionsOf(object);
  const phase = text(status["phase"]);
  if (phase === "Succeeded") return current("Succeeded");
  if (phase === "Failed") return failed(reasonOfEnd(object));
  if (phase === "Unknown") return unknown("its node does not answer");
  if (phase === "Running" && conditions.get("Ready")?.status === "True") return current();
  const waiting = worstContainer(object);
  if (waiting !== undefined) return waiting.isHopeless ? failed(waiting.text) : inProgress(waiting.text);
  const scheduled = conditions.get("PodScheduled");
  if (scheduled?.status === "False" && scheduled.reason === "Unschedulable")
    return inProgressUntil(scheduled.atMs + schedulingGraceMs, nowMs, explain(scheduled));
  const ready = conditions.get("Ready");
  if (phase === "Running") return inProgress(ready?.message ? `is not ready: ${ready.message}` : "is not ready");
  return inProgress(scheduled?.reason === "SchedulingGated" ? explain(scheduled) : "is starting");
}

function reasonOfEnd(object: KubeObject): string {
  const status = section(object, "status");
  const said = [text(status["reason"]), text(status["message"])].filter(Boolean).join(": ");
  if (said !== "") return said;
  const ended = containersOf(object).find((container) => endOf(container, "state") !== "");
  return ended === undefined ? "Failed" : `container ${text(ended["name"])} ${endOf(ended, "state")}`;
}

type Waiting = { readonly isHopeless: boolean; readonly text: string };

/** The container that waits with the least hope; undefined when all go their normal way. */
function worstContainer(object: KubeObject): Waiting | undefined {
  const waiting = containersOf(object).flatMap((container): Waiting[] => {
    const { reason, message } = waitOf(container);
    if (reason === "" || reason === "PodInitializing" || reason === "ContainerCreating") return [];
    const last = endOf(container, "lastState");
    const parts = [reason, message, last === "" ? "" : `last ${last}`].filter((part) => part !== "");
    return [
      { isHopeless: hopelessWaiting.has(reason), text: `container ${text(container["name"])}: ${parts.join(": ")}` },
    ];
  });
  return waiting.find(({ isHopeless }) => isHopeless) ?? waiting[0];
}

function containersOf(object: KubeObject): JsonObject[] {
  const status = section(object, "status");
  return [...asList(status["initContainerStatuses"]), ...asList(status["containerStatuses"])];
}

function waitOf(container: JsonObject): { reason: string; message: string } {
  const waiting = asObject(asObject(container["state"])["waiting"]);
  return { reason: text(waiting["reason"]), message: text(waiting["message"]) };
}

/** "ended with exit code 137 (OOMKilled)"; empty when it ended well or not at all. */
function endOf(container: JsonObject, state: "state" | "lastState"): string {
  const end = asObject(asObject(container[state])["terminated"]);
  const code = count(end["exitCode"]);
  if (code === 0) return "";
  const reason = text(end["reason"]);
  return `ended with exit code ${code}${reason === "" || reason === "Error" ? "" : ` (${reason})`}`;
}
