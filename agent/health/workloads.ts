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
  section,
  text,
  type Health,
} from "./condition.ts";

// kstatus: a Pod that cannot be scheduled for so long will not be without help.
const schedulingGraceMs = 15_000;
const hopelessWaiting = new Set([
  "CrashLoopBackOff",
  "ImagePullBackOff",
  "ErrImagePull",
  "InvalidImageName",
  "CreateContainerConfigError",
  "CreateContainerError",
  "RunContainerError",
]);

export function deploymentHealth(object: KubeObject): Health {
  const status = section(object, "status");
  const conditions = conditionsOf(object);
  const progressing = conditions.get("Progressing");
  if (progressing?.reason === "ProgressDeadlineExceeded") return failed(explain(progressing));
  const failure = conditions.get("ReplicaFailure");
  if (failure?.status === "True") return failed(explain(failure));
  const rolling = unfinished(count(section(object, "spec")["replicas"], 1), {
    exist: count(status["replicas"]),
    updated: count(status["updatedReplicas"]),
    ready: count(status["readyReplicas"]),
    available: count(status["availableReplicas"]),
  });
  return rolling ?? current();
}

export function statefulSetHealth(object: KubeObject): Health {
  const spec = section(object, "spec");
  const status = section(object, "status");
  const strategy = asObject(spec["updateStrategy"]);
  const wanted = count(spec["replicas"], 1);
  const ready = count(status["readyReplicas"]);
  const exist = count(status["replicas"]);
  if (ready < wanted) return inProgress(`${ready} of ${wanted} replicas are ready`);
  if (exist > wanted) return inProgress(`${exist - wanted} surplus replicas are ending`);
  if (text(strategy["type"]) === "OnDelete") return current();
  const partition = count(asObject(strategy["rollingUpdate"])["partition"]);
  const updated = count(status["updatedReplicas"]);
  if (updated < wanted - partition) return inProgress(`${updated} of ${wanted - partition} replicas are updated`);
  if (partition === 0 && text(status["currentRevision"]) !== text(status["updateRevision"]))
    return inProgress("the rolling update has not finished");
  return current();
}

export function daemonSetHealth(object: KubeObject): Health {
  const status = section(object, "status");
  if (status["desiredNumberScheduled"] === undefined) return inProgress("waits for its controller");
  const wanted = count(status["desiredNumberScheduled"]);
  const onDelete = text(asObject(section(object, "spec")["updateStrategy"])["type"]) === "OnDelete";
  const rolling = unfinished(wanted, {
    exist: count(status["currentNumberScheduled"]),
    updated: onDelete ? wanted : count(status["updatedNumberScheduled"]),
    ready: count(status["numberReady"]),
    available: count(status["numberAvailable"]),
  });
  return rolling ?? current();
}

/** A Job is Current once it has started: it is then doing what it is for. */
export function jobHealth(object: KubeObject): Health {
  const conditions = conditionsOf(object);
  const failure = conditions.get("Failed") ?? conditions.get("FailureTarget");
  if (failure?.status === "True") return failed(explain(failure));
  if (conditions.get("Complete")?.status === "True") return current("Complete");
  if (section(object, "spec")["suspend"] === true) return current("Suspended");
  if (section(object, "status")["startTime"] === undefined) return inProgress("waits to start");
  return current("Running");
}

export const isJobComplete = (object: KubeObject): boolean =>
  object.kind === "Job" && conditionsOf(object).get("Complete")?.status === "True";

export function podHealth(object: KubeObject, nowMs: number): Health {
  const status = section(object, "status");
  const conditions = conditionsOf(object);
  switch (text(status["phase"])) {
    case "Succeeded":
      return current("Succeeded");
    case "Failed":
      return failed([text(status["reason"]), text(status["message"])].filter(Boolean).join(": ") || "Failed");
    case "Running":
      if (conditions.get("Ready")?.status === "True") return current();
      break;
  }
  const waiting = waitingContainer(object);
  if (waiting !== undefined)
    return hopelessWaiting.has(waiting.reason) ? failed(waiting.text) : inProgress(waiting.text);
  const scheduled = conditions.get("PodScheduled");
  if (scheduled?.status === "False" && scheduled.reason === "Unschedulable")
    return nowMs - scheduled.atMs >= schedulingGraceMs ? failed(explain(scheduled)) : inProgress(explain(scheduled));
  return inProgress(text(status["phase"]) === "Running" ? "is not ready" : "is starting");
}

function waitingContainer(object: KubeObject): { reason: string; text: string } | undefined {
  const status = section(object, "status");
  const containers = [...asList(status["initContainerStatuses"]), ...asList(status["containerStatuses"])];
  for (const container of containers) {
    const waiting = asObject(asObject(container["state"])["waiting"]);
    const reason = text(waiting["reason"]);
    if (reason === "" || reason === "PodInitializing" || reason === "ContainerCreating") continue;
    const message = text(waiting["message"]);
    return { reason, text: `container ${text(container["name"])}: ${reason}${message === "" ? "" : `: ${message}`}` };
  }
  return undefined;
}

function unfinished(
  wanted: number,
  seen: { exist: number; updated: number; ready: number; available: number },
): Health | undefined {
  if (seen.updated < wanted) return inProgress(`${seen.updated} of ${wanted} replicas are updated`);
  if (seen.exist > wanted) return inProgress(`${seen.exist - wanted} surplus replicas are ending`);
  if (seen.ready < wanted) return inProgress(`${seen.ready} of ${wanted} replicas are ready`);
  if (seen.available < wanted) return inProgress(`${seen.available} of ${wanted} replicas are available`);
  return undefined;
}
