import { expect, test } from "vitest";
import type { JsonObject, KubeObject } from "#proto/object.ts";
import { causeOfNoPods, causeOfPod, lastSaid, lastWarning, newestReplicaSet, worstPod } from "./cause.ts";
import { trailOf } from "./trail.ts";

const now = Date.parse("2030-01-01T00:10:00Z");
const at = (minute: number): string => `2030-01-01T00:0${minute}:00Z`;
const pod = (name: string, status: JsonObject, owner = "rs"): KubeObject => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, uid: name, ownerReferences: [{ uid: owner }] },
  status,
});
const waiting = (reason: string, message = ""): JsonObject => ({
  phase: "Pending",
  containerStatuses: [{ name: "web", state: { waiting: { reason, message } } }],
});
const event = (reason: string, message: string, lastTimestamp: string, type = "Warning"): KubeObject => ({
  apiVersion: "v1",
  kind: "Event",
  metadata: { name: reason },
  reason,
  message,
  lastTimestamp,
  type,
});

test("the worst pod of the owner speaks, not one that is well, ending, or another's", () => {
  const ready = { phase: "Running", conditions: [{ type: "Ready", status: "True" }] };
  const starting = pod("b", waiting("ContainerCreating"));
  const broken = pod("c", waiting("ImagePullBackOff", 'Back-off pulling image "web:2"'));
  const ending = pod("d", waiting("CrashLoopBackOff"));
  ending.metadata.deletionTimestamp = at(1);
  const pods = [pod("a", ready), starting, broken, ending, pod("e", waiting("CrashLoopBackOff"), "other")];
  const sick = worstPod(pods, "rs", now)!;
  expect(causeOfPod(sick, [])).toBe('pod c: container web: ImagePullBackOff: Back-off pulling image "web:2"');
  expect(worstPod([pod("a", ready)], "rs", now)).toBeUndefined();
  expect(worstPod([starting], "rs", now)!.pod.metadata.name).toBe("b");
});

test("an exit code and the scheduler's words are said", () => {
  const crashed: JsonObject = {
    phase: "Running",
    containerStatuses: [
      {
        name: "web",
        state: { waiting: { reason: "CrashLoopBackOff", message: "back-off 5m0s restarting failed container" } },
        lastState: { terminated: { exitCode: 137, reason: "OOMKilled", message: "a log line with PASSWORD" } },
      },
    ],
  };
  expect(causeOfPod(worstPod([pod("a", crashed)], "rs", now)!, [])).toBe(
    "pod a: container web: CrashLoopBackOff: back-off 5m0s restarting failed container: last ended with exit code 137 (OOMKilled)",
  );
  const unschedulable: JsonObject = {
    phase: "Pending",
    conditions: [
      {
        type: "PodScheduled",
        status: "False",
        reason: "Unschedulable",
        message: "0/1 nodes are available: 1 Insufficient cpu.",
        lastTransitionTime: at(1),
      },
    ],
  };
  const scheduler = event("FailedScheduling", "0/1 nodes are available: 1 Insufficient cpu.", at(2));
  expect(causeOfPod(worstPod([pod("a", unschedulable)], "rs", now)!, [scheduler])).toBe(
    "pod a: Unschedulable: 0/1 nodes are available: 1 Insufficient cpu.",
  );
});

test("events add what a pod's status leaves open; the newest that says something is taken", () => {
  const events = [
    event("FailedMount", 'secret "db" not found', at(3)),
    event("Scheduled", "assigned to node-1", at(5), "Normal"),
    event("FailedMount", "older", at(1)),
    event("BackOff", "Back-off restarting failed container", at(6)),
    event("Failed", "Error: ErrImagePull", at(7)),
  ];
  expect(lastWarning(events)).toBe('FailedMount: secret "db" not found');
  expect(causeOfPod(worstPod([pod("a", waiting("ContainerCreating"))], "rs", now)!, events)).toBe(
    'pod a: is starting: FailedMount: secret "db" not found',
  );
  expect(lastWarning(events.slice(3))).toBe("Failed: Error: ErrImagePull");
  expect(lastSaid([event("WaitForFirstConsumer", "waiting for first consumer", at(1), "Normal")])).toBe(
    "WaitForFirstConsumer: waiting for first consumer",
  );
  expect(lastWarning([])).toBe("");
});

test("a quota or a webhook that lets no pod be made is said by the newest ReplicaSet", () => {
  const set = (name: string, revision: string, owner: string): KubeObject => ({
    apiVersion: "apps/v1",
    kind: "ReplicaSet",
    metadata: {
      name,
      uid: name,
      annotations: { "deployment.kubernetes.io/revision": revision },
      ownerReferences: [{ uid: owner }],
    },
  });
  expect(newestReplicaSet([set("a", "9", "d"), set("b", "10", "d"), set("c", "11", "x")], "d")?.metadata.name).toBe(
    "b",
  );
  const denied = 'admission webhook "policy.example" denied the request: no latest tags';
  expect(causeOfNoPods(undefined, [event("FailedCreate", denied, at(1))])).toBe(`FailedCreate: ${denied}`);
  const conditions = [
    { type: "ReplicaFailure", status: "True", reason: "FailedCreate", message: "exceeded quota: small" },
  ];
  expect(causeOfNoPods({ ...set("a", "1", "d"), status: { conditions } }, [])).toBe(
    "FailedCreate: exceeded quota: small",
  );
});

test("nothing is looked up of what is well, going away, or not begun; the rest says where", () => {
  const deployment = (status: JsonObject): KubeObject => ({
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "web", namespace: "shop", uid: "u" },
    spec: {
      selector: {
        matchLabels: { app: "web" },
        matchExpressions: [
          { key: "tier", operator: "In", values: ["a", "b"] },
          { key: "old", operator: "DoesNotExist" },
        ],
      },
    },
    status,
  });
  const seen = deployment({ observedGeneration: 1 });
  for (const state of ["Current", "Terminating", "NotFound", "Unknown"] as const)
    expect(trailOf(seen, { state, reason: "" })).toBeUndefined();
  expect(trailOf(deployment({}), { state: "InProgress", reason: "" })).toBeUndefined();
  expect(trailOf(seen, { state: "InProgress", reason: "" })).toEqual({
    uid: "u",
    namespace: "shop",
    kind: "Deployment",
    through: "replicaSets",
    selector: "app=web,tier in (a,b),!old",
  });
  const plain: KubeObject = {
    ...seen,
    apiVersion: "v1",
    kind: "ReplicationController",
    spec: { selector: { app: "web" } },
  };
  expect(trailOf(plain, { state: "Failed", reason: "" })).toMatchObject({ through: "pods", selector: "app=web" });
  const claim: KubeObject = { ...seen, apiVersion: "v1", kind: "PersistentVolumeClaim", status: { phase: "Pending" } };
  expect(trailOf(claim, { state: "InProgress", reason: "" })).toMatchObject({ through: "events", selector: "" });
});
