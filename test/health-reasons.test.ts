import { expect, test } from "vitest";
import { ApiError } from "#agent/cluster/errors.ts";
import { createSimulatedCluster } from "#agent/cluster/simulated/simulated.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { Health } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { clusterId } from "#proto/ids.ts";
import { refOf, type JsonObject, type KubeObject } from "#proto/object.ts";
import { Documents } from "#test/harness/documents.ts";
import { startAgent } from "#test/health/agent.ts";

const agentNamespace = "plumbline-agent";
const shop: KubeObject = { apiVersion: "v1", kind: "Namespace", metadata: { name: "shop" } };
const web = (image: string): KubeObject => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "web", namespace: "shop" },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: "web" } },
    template: { metadata: { labels: { app: "web" } }, spec: { containers: [{ name: "web", image }] } },
  },
});
const addressOf = (object: KubeObject) => ({ ...refOf(object), apiVersion: object.apiVersion });

async function world() {
  const simulated = createSimulatedCluster();
  const clock = new VirtualClock(Date.parse("2030-01-01T00:00:00Z"));
  const documents = new Documents(clusterId("eu-1"));
  const person = simulated.connect("kube-controller-manager");
  await person.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: agentNamespace } });
  const agent = await startAgent(simulated.connect(), documents, clock, agentNamespace);
  const take = async (...objects: KubeObject[]): Promise<void> => {
    agent.engine.take(documents.sign(documents.run("shop", objects)), "");
    await agent.engine.settled();
  };
  const writeStatus = async (object: KubeObject, status: JsonObject): Promise<void> => {
    const written = (there: KubeObject): void => {
      there["status"] = { observedGeneration: there.metadata.generation ?? 1, ...status };
    };
    simulated.edit(addressOf(object), written, { manager: "kube-controller-manager", subresource: "status" });
    await clock.advance(0);
    await agent.engine.settled();
  };
  /** Lists of Pods, ReplicaSets and events so far: what a look for a cause costs. */
  const looks = (): number => {
    const counts = simulated.requests("plumbline");
    return ["pods", "replicasets", "events"].reduce((sum, name) => sum + (counts[`list ${name}`] ?? 0), 0);
  };
  const pass = async (ms: number): Promise<void> => {
    await clock.advance(ms);
    await agent.engine.settled();
  };
  const uidOf = (object: KubeObject): string => simulated.get(addressOf(object))?.metadata.uid ?? "";
  return {
    simulated,
    clock,
    person,
    agent,
    take,
    writeStatus,
    looks,
    pass,
    uidOf,
    reason: () => agent.engine.statuses()[0]!.reason,
  };
}

/** What its controllers would make of a Deployment whose image cannot be pulled. */
async function breakPods({ simulated, person, uidOf }: Awaited<ReturnType<typeof world>>): Promise<void> {
  const set: KubeObject = {
    apiVersion: "apps/v1",
    kind: "ReplicaSet",
    metadata: {
      name: "web-1",
      namespace: "shop",
      labels: { app: "web" },
      annotations: { "deployment.kubernetes.io/revision": "1" },
      ownerReferences: [{ apiVersion: "apps/v1", kind: "Deployment", name: "web", uid: uidOf(web("")) }],
    },
    spec: web("")["spec"],
  };
  await person.create(set);
  const pod: KubeObject = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: "web-1-a",
      namespace: "shop",
      labels: { app: "web" },
      ownerReferences: [{ apiVersion: "apps/v1", kind: "ReplicaSet", name: "web-1", uid: uidOf(set) }],
    },
    spec: {
      containers: [
        {
          name: "web",
          image: "web:2",
          env: [{ name: "PASSWORD", value: "hunter2canary" }],
          args: ["--key=hunter2canary"],
        },
      ],
    },
  };
  await person.create(pod);
  const waiting = { reason: "ImagePullBackOff", message: 'Back-off pulling image "web:2"' };
  simulated.edit(
    addressOf(pod),
    (there) => (there["status"] = { phase: "Pending", containerStatuses: [{ name: "web", state: { waiting } }] }),
    { manager: "kubelet", subresource: "status" },
  );
  await person.create({
    apiVersion: "v1",
    kind: "Event",
    metadata: { name: "web-1-a.1", namespace: "shop" },
    involvedObject: { kind: "Pod", namespace: "shop", name: "web-1-a", uid: uidOf(pod) },
    type: "Warning",
    reason: "Failed",
    message: 'Failed to pull image "web:2": not found',
    lastTimestamp: "2030-01-01T00:00:00Z",
  });
}

const rolling = { replicas: 1, updatedReplicas: 1, unavailableReplicas: 1 };
const rolledOut = { replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1 };

test("a rollout that ends within seconds, and one whose controller is away, cost no request", async () => {
  const here = await world();
  await using _agent = here.agent;
  await here.take(shop, web("web:1"));
  await here.pass(3_600_000);
  expect([here.looks(), here.reason()]).toEqual([0, "waits for its controller"]);
  await here.writeStatus(web(""), rolling);
  await here.pass(9_000);
  await here.writeStatus(web(""), rolledOut);
  await here.pass(3_600_000);
  expect(here.looks()).toBe(0);
  expect(here.agent.engine.statuses()).toMatchObject([{ health: Health.CURRENT, reason: "" }]);
});

test("what stays broken is looked up, at most once in half a minute, and then let be until it says something new", async () => {
  const here = await world();
  await using _agent = here.agent;
  await here.take(shop, web("web:2"));
  await breakPods(here);
  await here.writeStatus(web(""), rolling);
  await here.pass(9_999);
  expect(here.looks()).toBe(0);
  await here.pass(1);
  const cause =
    'pod web-1-a: container web: ImagePullBackOff: Back-off pulling image "web:2": Failed: Failed to pull image "web:2": not found';
  expect([here.looks(), here.reason()]).toEqual([3, `0 of 1 replicas are ready: ${cause}`]);
  expect(here.agent.engine.statuses()[0]!.exceptional).toMatchObject([
    { reason: `0 of 1 replicas are ready: ${cause}` },
  ]);
  await here.pass(29_000);
  expect(here.looks()).toBe(3);
  await here.pass(24 * 3_600_000);
  expect(here.looks()).toBe(3 * 5);

  // A status that changes all the time hurries nobody.
  for (let n = 0; n < 100; n += 1) {
    await here.writeStatus(web(""), { ...rolling, replicas: 1 + (n % 2) });
    await here.pass(1_000);
  }
  expect(here.looks()).toBeLessThanOrEqual(3 * (5 + 4));
  await here.writeStatus(web(""), rolledOut);
  await here.pass(3_600_000);
  expect([here.looks() <= 3 * 9, here.reason()]).toEqual([true, ""]);
  const everything = JSON.stringify(
    [here.agent.engine.statuses(), here.agent.journal.after(0n)],
    (_key, value: unknown) => (typeof value === "bigint" ? String(value) : value),
  );
  expect(everything).not.toContain("hunter2canary");
});

test("an agent that may not read events says what it knows, and nothing breaks", async () => {
  const here = await world();
  await using _agent = here.agent;
  await here.take(shop, web("web:2"));
  await breakPods(here);
  here.simulated.fail({ resource: "pods", manager: "plumbline" }, new ApiError(403, { message: "forbidden" }), 1_000);
  await here.writeStatus(web(""), rolling);
  await here.pass(3_600_000);
  expect(here.reason()).toBe("0 of 1 replicas are ready");
  expect(here.looks()).toBe(2 * 5);
});

test("a thousand objects that break at once are looked up one by one", async () => {
  const here = await world();
  await using _agent = here.agent;
  const claims = Array.from({ length: 100 }, (_, n): KubeObject => ({
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata: { name: `data-${n}`, namespace: "shop" },
    spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
  }));
  await here.take(shop, ...claims);
  for (const claim of claims) await here.writeStatus(claim, { phase: "Pending" });
  await here.pass(20_000);
  expect(here.looks()).toBeLessThanOrEqual(21);
  await here.pass(80_000);
  expect(here.looks()).toBeGreaterThanOrEqual(100);
});
