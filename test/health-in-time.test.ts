import { expect, test } from "vitest";
import { createSimulatedCluster } from "#agent/cluster/simulated/simulated.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { Health } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { clusterId } from "#proto/ids.ts";
import { refOf, type JsonObject, type KubeObject } from "#proto/object.ts";
import { Documents } from "#test/harness/documents.ts";
import { startAgent } from "#test/health/agent.ts";

const secondMs = 1_000;
const agentNamespace = "plumbline-agent";
const shop: KubeObject = { apiVersion: "v1", kind: "Namespace", metadata: { name: "shop" } };
const containers = [{ name: "web", image: "web:1" }];
const web: KubeObject = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "web", namespace: "shop" },
  spec: {
    replicas: 1,
    progressDeadlineSeconds: 60,
    selector: { matchLabels: { app: "web" } },
    template: { metadata: { labels: { app: "web" } }, spec: { containers } },
  },
};
const pod: KubeObject = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "lone", namespace: "shop" },
  spec: { containers },
};
const scaler: KubeObject = {
  apiVersion: "autoscaling/v2",
  kind: "HorizontalPodAutoscaler",
  metadata: { name: "web", namespace: "shop" },
  spec: { maxReplicas: 2, scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "other" } },
};
const addressOf = (object: KubeObject) => ({ ...refOf(object), apiVersion: object.apiVersion });

// What is Failed after a while becomes so though nothing is written any more: its controller is away, or has said all.
async function world(object: KubeObject) {
  const simulated = createSimulatedCluster();
  const clock = new VirtualClock(Date.parse("2030-01-01T00:00:00Z"));
  const documents = new Documents(clusterId("eu-1"));
  const person = simulated.connect("kube-controller-manager");
  await person.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: agentNamespace } });
  const agent = await startAgent(simulated.connect(), documents, clock, agentNamespace);
  agent.engine.take(documents.sign(documents.run("shop", [shop, object])), "");
  await agent.engine.settled();
  const gets = (): number => simulated.requests("plumbline")[`get ${object.kind.toLowerCase()}s`] ?? 0;
  const atStart = gets();
  return {
    looks: () => gets() - atStart,
    health: () => agent.engine.statuses()[0]!,
    async writeStatus(status: JsonObject): Promise<void> {
      const written = (there: KubeObject): void => {
        there["status"] = { observedGeneration: there.metadata.generation ?? 1, ...status };
      };
      simulated.edit(addressOf(object), written, { manager: "kube-controller-manager", subresource: "status" });
      await this.pass(0);
    },
    async pass(ms: number): Promise<void> {
      await clock.advance(ms);
      await agent.engine.settled();
    },
    now: () => new Date(clock.now()).toISOString(),
    [Symbol.asyncDispose]: () => agent[Symbol.asyncDispose](),
  };
}

const rolling = (at: string): JsonObject => ({
  replicas: 1,
  updatedReplicas: 1,
  conditions: [{ type: "Progressing", status: "True", reason: "ReplicaSetUpdated", lastUpdateTime: at }],
});

test("a rollout without progress fails when its deadline has passed, though its controller is away", async () => {
  await using here = await world(web);
  await here.writeStatus(rolling(here.now()));
  await here.pass(50 * secondMs);
  // It moves once more: the deadline is another.
  await here.writeStatus(rolling(here.now()));
  await here.pass(89 * secondMs);
  expect(here.health()).toMatchObject({ health: Health.IN_PROGRESS });
  expect(here.looks()).toBe(0);
  await here.pass(2 * secondMs);
  expect(here.health()).toMatchObject({
    health: Health.FAILED,
    exceptional: [{ reason: expect.stringContaining("no progress for more than 60 s") as string }],
  });
  expect(here.looks()).toBe(1);
  await here.pass(3_600 * secondMs);
  expect(here.looks()).toBe(1);
});

test("a Pod that no node takes fails after a while", async () => {
  await using here = await world(pod);
  const scheduled = { type: "PodScheduled", status: "False", reason: "Unschedulable", message: "0/1 nodes" };
  await here.writeStatus({ phase: "Pending", conditions: [{ ...scheduled, lastTransitionTime: here.now() }] });
  expect(here.health()).toMatchObject({ health: Health.IN_PROGRESS });
  await here.pass(16 * secondMs);
  expect(here.health()).toMatchObject({ health: Health.FAILED });
});

test("an autoscaler that gets no metrics for long fails, and one that got them meanwhile is not even looked at", async () => {
  await using here = await world(scaler);
  const conditions = (status: string): JsonObject[] => [
    { type: "AbleToScale", status: "True", reason: "SucceededGetScale" },
    { type: "ScalingActive", status, reason: status === "True" ? "ValidMetricFound" : "FailedGetResourceMetric" },
  ];
  const since = (status: string): JsonObject => ({
    conditions: conditions(status).map((condition) => ({ ...condition, lastTransitionTime: here.now() })),
  });
  await here.writeStatus(since("False"));
  await here.pass(200 * secondMs);
  await here.writeStatus(since("True"));
  await here.pass(200 * secondMs);
  expect([here.health().health, here.looks()]).toEqual([Health.CURRENT, 0]);
  await here.writeStatus(since("False"));
  await here.pass(299 * secondMs);
  expect(here.health().health).toBe(Health.IN_PROGRESS);
  await here.pass(2 * secondMs);
  expect(here.health().health).toBe(Health.FAILED);
});

test("three hundred that fail at one time are looked at ten a second", async () => {
  const simulated = createSimulatedCluster();
  const clock = new VirtualClock(Date.parse("2030-01-01T00:00:00Z"));
  const documents = new Documents(clusterId("eu-1"));
  const person = simulated.connect("kube-controller-manager");
  await person.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: agentNamespace } });
  await using agent = await startAgent(simulated.connect(), documents, clock, agentNamespace);
  const pods = Array.from({ length: 300 }, (_, n) => ({ ...pod, metadata: { ...pod.metadata, name: `p${n}` } }));
  agent.engine.take(documents.sign(documents.run("shop", [shop, ...pods])), "");
  await agent.engine.settled();
  const lastTransitionTime = new Date(clock.now()).toISOString();
  const conditions = [{ type: "PodScheduled", status: "False", reason: "Unschedulable", lastTransitionTime }];
  for (const one of pods)
    simulated.edit(addressOf(one), (there) => void (there["status"] = { phase: "Pending", conditions }), {
      manager: "kube-scheduler",
      subresource: "status",
    });
  await clock.advance(0);
  await agent.engine.settled();
  const gets = (): number => simulated.requests("plumbline")["get pods"] ?? 0;
  const before = gets();
  await clock.advance(16 * secondMs);
  await agent.engine.settled();
  expect(gets() - before).toBeLessThanOrEqual(20);
  await clock.advance(60 * secondMs);
  await agent.engine.settled();
  expect(gets() - before).toBe(300);
  expect(agent.engine.statuses()[0]).toMatchObject({ health: Health.FAILED, current: 1 });
});
