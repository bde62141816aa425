import { expect, test } from "vitest";
import { createSimulatedCluster } from "#agent/cluster/simulated/simulated.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import type { HealthRule } from "#proto/desired-state.ts";
import { Health } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { clusterId } from "#proto/ids.ts";
import type { KubeObject } from "#proto/object.ts";
import { Documents } from "#test/harness/documents.ts";
import { startAgent } from "#test/health/agent.ts";

const namespace = "plumbline-agent";
const definition: KubeObject = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "queues.example.com" },
  spec: {
    group: "example.com",
    scope: "Cluster",
    names: { kind: "Queue", plural: "queues", singular: "queue", listKind: "QueueList" },
    versions: [
      {
        name: "v1",
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
      },
    ],
  },
};
const queue: KubeObject = { apiVersion: "example.com/v1", kind: "Queue", metadata: { name: "jobs" }, depth: 7 };
const rule = (current: string, more: Partial<HealthRule> = {}): HealthRule => ({
  name: "queues",
  apiVersion: "example.com/v1",
  kind: "Queue",
  current,
  inProgress: null,
  failed: null,
  ...more,
});

async function world() {
  const simulated = createSimulatedCluster();
  const documents = new Documents(clusterId("eu-1"));
  const clock = new VirtualClock(Date.parse("2030-01-01T00:00:00Z"));
  const person = simulated.connect("person");
  await person.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } });
  return { simulated, documents, clock, start: () => startAgent(simulated.connect(), documents, clock, namespace) };
}

test("a changed rule of the fleet judges every object of its kind again, and writes to none", async () => {
  const { simulated, documents, start } = await world();
  await using agent = await start();
  const { engine } = agent;
  const health = (): Health | undefined => engine.statuses()[0]?.health;
  const entry = documents.run("jobs", [definition, queue]);
  const take = async (...rules: HealthRule[]): Promise<void> => {
    documents.healthRules = rules;
    engine.take(documents.sign(entry), "");
    await engine.settled();
  };
  await take();
  expect(health()).toBe(Health.CURRENT);
  const asked = (): Record<string, number> =>
    Object.fromEntries(Object.entries(simulated.requests("plumbline")).filter(([name]) => !name.endsWith("secrets")));
  const before = asked();

  await take(rule("object.depth < 5", { failed: "object.depth > 6" }));
  expect(health()).toBe(Health.FAILED);
  await take(rule("object.depth < 5"));
  expect(health()).toBe(Health.UNKNOWN);
  expect(engine.statuses()[0]!.reason).toBe("HealthRule queues: no expression holds");
  await take(rule("object.depth < 9"));
  expect(health()).toBe(Health.CURRENT);
  await take();
  expect(health()).toBe(Health.CURRENT);

  // One LIST a change; the documents are remembered, and nothing else is asked for or written.
  const { "list queues": lists = 0, ...after } = asked();
  const { "list queues": listsBefore = 0, ...rest } = before;
  expect(lists - listsBefore).toBe(4);
  expect(after).toEqual(rest);
});

test("rules go before those that come with the agent, and are obeyed by an agent that starts alone", async () => {
  const { documents, start } = await world();
  const settings: KubeObject = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a", namespace: "default" } };
  {
    await using agent = await start();
    documents.healthRules = [rule("has(object.data)", { name: "settings", apiVersion: "v1", kind: "ConfigMap" })];
    agent.engine.take(documents.sign(documents.run("shop", [settings])), "");
    await agent.engine.settled();
    expect(agent.engine.statuses()).toMatchObject([{ health: Health.UNKNOWN }]);
  }
  await using again = await start();
  await again.engine.settled();
  expect(again.engine.statuses()).toMatchObject([
    { health: Health.UNKNOWN, reason: "HealthRule settings: no expression holds" },
  ]);
});

test("a rule that this agent cannot read is ignored, and said", async () => {
  const { documents, start } = await world();
  await using agent = await start();
  documents.healthRules = [rule("object.depth <"), rule("nonsense(", { name: "other", kind: "Other" })];
  agent.engine.take(documents.sign(documents.run("jobs", [definition, queue])), "");
  await agent.engine.settled();
  expect(agent.engine.statuses()).toMatchObject([{ health: Health.CURRENT }]);
  const notices = agent.journal.after(0n).flatMap(({ body }) => (body?.$case === "notice" ? [body.value.text] : []));
  expect(notices).toEqual([
    expect.stringContaining("HealthRule other is ignored: current: "),
    expect.stringContaining("HealthRule queues is ignored: current: "),
  ]);
});
