import { expect, test } from "vitest";
import type { Json, JsonObject, KubeObject } from "#proto/object.ts";
import type { HealthState } from "./condition.ts";
import { healthOf, worstOf } from "./health.ts";

const now = Date.parse("2030-01-01T00:01:00Z");
const object = (
  apiVersion: string,
  kind: string,
  spec: JsonObject,
  status: JsonObject,
  more: object = {},
): KubeObject => ({
  apiVersion,
  kind,
  metadata: { name: "x", namespace: "shop", generation: 2, ...more },
  spec,
  status,
});
const condition = (type: string, status: string, reason = "", at = "2030-01-01T00:00:00Z"): Json => ({
  type,
  status,
  reason,
  lastTransitionTime: at,
});
const deployment = (spec: JsonObject, status: JsonObject) =>
  object("apps/v1", "Deployment", spec, { observedGeneration: 2, ...status });
const done = { replicas: 2, updatedReplicas: 2, readyReplicas: 2, availableReplicas: 2 };
const statefulSet = (spec: JsonObject, status: JsonObject) =>
  object("apps/v1", "StatefulSet", spec, {
    observedGeneration: 2,
    currentRevision: "a",
    updateRevision: "a",
    ...status,
  });
const daemonSet = (status: JsonObject) => object("apps/v1", "DaemonSet", {}, { observedGeneration: 2, ...status });
const spread = { currentNumberScheduled: 3, updatedNumberScheduled: 3, numberReady: 3, numberAvailable: 3 };
const pod = (status: JsonObject) => object("v1", "Pod", {}, status);
const waiting = (reason: string) => ({ containerStatuses: [{ name: "app", state: { waiting: { reason } } }] });
const crd = (...conditions: Json[]) =>
  object("apiextensions.k8s.io/v1", "CustomResourceDefinition", {}, { conditions });
const custom = (...conditions: Json[]) => object("shop.example/v1", "Shop", {}, { conditions });
const job = (status: JsonObject, spec: JsonObject = {}) => object("batch/v1", "Job", spec, status);

const cases: [string, KubeObject | undefined, HealthState, string?][] = [
  ["an object that is not there", undefined, "NotFound"],
  [
    "an object being deleted",
    object("v1", "ConfigMap", {}, {}, { deletionTimestamp: "x", finalizers: ["a/b"] }),
    "Terminating",
    "waits for a/b",
  ],
  ["a ConfigMap", object("v1", "ConfigMap", {}, {}), "Current"],
  ["a Namespace", object("v1", "Namespace", {}, { phase: "Active" }), "Current"],
  ["a Deployment no controller has seen", object("apps/v1", "Deployment", {}, {}), "InProgress"],
  ["a Deployment changed since", deployment({ replicas: 2 }, { ...done, observedGeneration: 1 }), "InProgress"],
  ["a finished Deployment", deployment({ replicas: 2 }, done), "Current"],
  ["a Deployment scaled to zero", deployment({ replicas: 0 }, {}), "Current"],
  ["a Deployment with old pods", deployment({ replicas: 2 }, { ...done, replicas: 3 }), "InProgress", "surplus"],
  ["a Deployment half updated", deployment({ replicas: 2 }, { ...done, updatedReplicas: 1 }), "InProgress", "1 of 2"],
  ["a Deployment half available", deployment({ replicas: 2 }, { ...done, availableReplicas: 1 }), "InProgress"],
  ["a Deployment without replicas in its spec", deployment({}, {}), "InProgress", "0 of 1"],
  [
    "a Deployment past its deadline",
    deployment({}, { conditions: [condition("Progressing", "False", "ProgressDeadlineExceeded")] }),
    "Failed",
    "ProgressDeadlineExceeded",
  ],
  [
    "a Deployment over quota",
    deployment({}, { conditions: [condition("ReplicaFailure", "True", "FailedCreate")] }),
    "Failed",
    "FailedCreate",
  ],
  ["a finished StatefulSet", statefulSet({ replicas: 2 }, done), "Current"],
  ["a StatefulSet starting", statefulSet({ replicas: 2 }, { readyReplicas: 1 }), "InProgress", "1 of 2"],
  ["a StatefulSet updating", statefulSet({ replicas: 2 }, { ...done, updateRevision: "b" }), "InProgress"],
  [
    "a StatefulSet held at a partition",
    statefulSet(
      { replicas: 2, updateStrategy: { rollingUpdate: { partition: 1 } } },
      { ...done, updatedReplicas: 1, updateRevision: "b" },
    ),
    "Current",
  ],
  [
    "a StatefulSet updated by hand",
    statefulSet({ replicas: 2, updateStrategy: { type: "OnDelete" } }, { ...done, updatedReplicas: 0 }),
    "Current",
  ],
  ["a finished DaemonSet", daemonSet({ desiredNumberScheduled: 3, ...spread }), "Current"],
  ["a DaemonSet on no node", daemonSet({ desiredNumberScheduled: 0 }), "Current"],
  ["a DaemonSet starting", daemonSet({ desiredNumberScheduled: 3, ...spread, numberReady: 1 }), "InProgress"],
  ["a Job that waits", job({}), "InProgress"],
  ["a Job that runs", job({ startTime: "x" }), "Current"],
  ["a Job that is suspended", job({}, { suspend: true }), "Current", "Suspended"],
  ["a Job that is complete", job({ conditions: [condition("Complete", "True")] }), "Current", "Complete"],
  [
    "a Job that failed",
    job({ conditions: [condition("Failed", "True", "BackoffLimitExceeded")] }),
    "Failed",
    "BackoffLimitExceeded",
  ],
  ["a ready Pod", pod({ phase: "Running", conditions: [condition("Ready", "True")] }), "Current"],
  ["a Pod not ready", pod({ phase: "Running", conditions: [condition("Ready", "False")] }), "InProgress"],
  ["a Pod that ended well", pod({ phase: "Succeeded" }), "Current"],
  ["a Pod that ended badly", pod({ phase: "Failed", reason: "Evicted" }), "Failed", "Evicted"],
  ["a Pod in a crash loop", pod({ phase: "Running", ...waiting("CrashLoopBackOff") }), "Failed", "CrashLoopBackOff"],
  ["a Pod without its image", pod({ phase: "Pending", ...waiting("ImagePullBackOff") }), "Failed", "container app"],
  ["a Pod being created", pod({ phase: "Pending", ...waiting("ContainerCreating") }), "InProgress"],
  [
    "a Pod nobody schedules",
    pod({ phase: "Pending", conditions: [condition("PodScheduled", "False", "Unschedulable")] }),
    "Failed",
  ],
  [
    "a Pod not scheduled for a moment",
    pod({
      phase: "Pending",
      conditions: [condition("PodScheduled", "False", "Unschedulable", "2030-01-01T00:00:55Z")],
    }),
    "InProgress",
  ],
  ["a Service", object("v1", "Service", { type: "ClusterIP" }, {}), "Current"],
  ["a balancer without address", object("v1", "Service", { type: "LoadBalancer" }, {}), "InProgress"],
  [
    "a balancer with address",
    object("v1", "Service", { type: "LoadBalancer" }, { loadBalancer: { ingress: [{ ip: "1.2.3.4" }] } }),
    "Current",
  ],
  ["a bound claim", object("v1", "PersistentVolumeClaim", {}, { phase: "Bound" }), "Current"],
  ["a pending claim", object("v1", "PersistentVolumeClaim", {}, { phase: "Pending" }), "InProgress", "Pending"],
  ["a lost claim", object("v1", "PersistentVolumeClaim", {}, { phase: "Lost" }), "Failed"],
  ["a new CRD", crd(), "InProgress"],
  ["an established CRD", crd(condition("NamesAccepted", "True"), condition("Established", "True")), "Current"],
  [
    "a CRD with taken names",
    crd(condition("NamesAccepted", "False", "ListKindConflict")),
    "Failed",
    "ListKindConflict",
  ],
  ["a custom object without conditions", custom(), "Current"],
  ["a ready custom object", custom(condition("Ready", "True")), "Current"],
  ["a custom object not ready", custom(condition("Ready", "False", "Waiting")), "InProgress", "Waiting"],
  [
    "a stalled custom object",
    custom(condition("Stalled", "True", "Bad"), condition("Ready", "False")),
    "Failed",
    "Bad",
  ],
  ["a reconciling custom object", custom(condition("Reconciling", "True", "Moving")), "InProgress", "Moving"],
];

test.each(cases)("judges %s", (_name, seen, state, reason) => {
  const health = healthOf(seen, now);
  expect(health.state).toBe(state);
  if (reason !== undefined) expect(health.reason).toContain(reason);
});

test("lets the worst object speak for its Application", () => {
  const healths = [healthOf(custom(), now), healthOf(job({}), now), healthOf(undefined, now)];
  expect(worstOf(healths).state).toBe("NotFound");
  expect(worstOf([]).state).toBe("Current");
});
