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

// The controller looks at a deadline a second after it has passed; one that is away looks never.
const deadlineGraceMs = 30_000;
/** Progressing conditions of a rollout that is on its way; only such a one has a deadline. */
const underWay = new Set(["NewReplicaSetCreated", "FoundNewReplicaSet", "ReplicaSetUpdated", "DeploymentResumed"]);
const noDeadline = 2_147_483_647;

export function deploymentHealth(object: KubeObject, nowMs: number): Health {
  const spec = section(object, "spec");
  const status = section(object, "status");
  const conditions = conditionsOf(object);
  const progressing = conditions.get("Progressing");
  if (progressing?.reason === "ProgressDeadlineExceeded") return failed(explain(progressing));
  const failure = conditions.get("ReplicaFailure");
  if (failure?.status === "True") return failed(explain(failure));
  const rolling = unfinished(count(spec["replicas"], 1), {
    exist: count(status["replicas"]),
    updated: count(status["updatedReplicas"]),
    ready: count(status["readyReplicas"]),
    available: count(status["availableReplicas"]),
  });
  if (rolling === undefined) return current();
  if (spec["paused"] === true) return inProgress(`its rollout is paused: ${rolling.reason}`);
  const deadlineSeconds = count(spec["progressDeadlineSeconds"], 600);
  const untilMs = progressedAtMs(object) + deadlineSeconds * 1000 + deadlineGraceMs + 1;
  const hasDeadline = deadlineSeconds !== noDeadline && progressing !== undefined && underWay.has(progressing.reason);
  if (!hasDeadline) return rolling;
  const late = `no progress for more than ${deadlineSeconds} s: ${rolling.reason}`;
  return inProgressUntil(untilMs, nowMs, rolling.reason, late);
}

function progressedAtMs(object: KubeObject): number {
  const progressing = asList(section(object, "status")["conditions"]).find(({ type }) => type === "Progressing");
  return Date.parse(text(progressing?.["lastUpdateTime"]));
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
  const available = count(status["availableReplicas"]);
  if (count(spec["minReadySeconds"]) > 0 && available < wanted)
    return inProgress(`${available} of ${wanted} replicas are available`);
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

/** ReplicaSets and ReplicationControllers: their pods are never updated, only counted. */
export function replicaSetHealth(object: KubeObject): Health {
  const status = section(object, "status");
  const failure = conditionsOf(object).get("ReplicaFailure");
  if (failure?.status === "True") return failed(explain(failure));
  const wanted = count(section(object, "spec")["replicas"], 1);
  const labelled = count(status["fullyLabeledReplicas"]);
  if (labelled < wanted) return inProgress(`${labelled} of ${wanted} replicas exist`);
  const rolling = unfinished(wanted, {
    exist: count(status["replicas"]),
    updated: wanted,
    ready: count(status["readyReplicas"]),
    available: count(status["availableReplicas"]),
  });
  return rolling ?? current();
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
