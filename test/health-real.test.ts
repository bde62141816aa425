import { afterAll, beforeAll, expect, test } from "vitest";
import { kubeconfigAccess } from "#agent/cluster/access.ts";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { openKubernetes } from "#agent/cluster/kubernetes.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { clusterId } from "#proto/ids.ts";
import type { JsonObject, KubeObject } from "#proto/object.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { Documents } from "#test/harness/documents.ts";
import { startAgent, type RunningAgent } from "#test/health/agent.ts";

// What real controllers, a real scheduler and kwok's node make of objects that cannot work, as an agent explains it.
const agentNamespace = "plumbline-agent";
const clock = new VirtualClock(Date.now());
const documents = new Documents(clusterId("eu-1"));
let plane: ControlPlane;
let people: Cluster;
let agent: RunningAgent;

beforeAll(async () => {
  plane = await startControlPlane({ nodes: true });
  people = openKubernetes(await kubeconfigAccess(plane.adminKubeconfig), { manager: "people" });
  await people.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: agentNamespace } });
  const access = await kubeconfigAccess(await plane.kubeconfig("agent", ["system:masters"]));
  agent = await startAgent(openKubernetes(access), documents, clock, agentNamespace);
});
afterAll(async () => {
  await agent?.[Symbol.asyncDispose]();
  await people?.[Symbol.asyncDispose]();
  await plane?.[Symbol.asyncDispose]();
});

const deployment = (namespace: string, name: string, more: JsonObject = {}, replicas = 1): KubeObject => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name, namespace },
  spec: {
    replicas,
    selector: { matchLabels: { app: name } },
    template: {
      metadata: { labels: { app: name } },
      spec: { containers: [{ name: "web", image: "web:1", ...more }] },
    },
  },
});
const space = (name: string): KubeObject => ({ apiVersion: "v1", kind: "Namespace", metadata: { name } });

/**
 * Waits until the cluster itself shows these words in that namespace, in what its controllers and its node wrote. The
 * agent's clock stands meanwhile: its looks are few, and the next comes with something new.
 */
async function untilShown(namespace: string, ...words: readonly string[]): Promise<void> {
  const kinds = ["apps/v1 Deployment", "apps/v1 ReplicaSet", "v1 Pod", "v1 Event"].map((one) => one.split(" "));
  for (;;) {
    const lists = kinds.map(async ([apiVersion = "", kind = ""]) =>
      people.list((await people.kindOf(apiVersion, kind))!, { namespace }),
    );
    const shown = JSON.stringify((await Promise.all(lists)).map(({ items }) => items));
    if (words.every((word) => shown.includes(JSON.stringify(word).slice(1, -1)))) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Waits until what is said of the one object that is not well has these words; the clock's first looks pass meanwhile. */
async function untilSaid(name: string, words: RegExp): Promise<void> {
  for (;;) {
    await agent.engine.settled();
    const status = agent.engine.statuses().find(({ application }) => application === name);
    if (words.test(status?.exceptional.map(({ reason }) => reason).join(" | ") ?? "")) return;
    await clock.advance(5_000);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function run(name: string, ...objects: KubeObject[]): Promise<void> {
  agent.engine.take(documents.sign(documents.run(name, [space(name), ...objects])), "");
  await agent.engine.settled();
}

test("the scheduler's words about a pod that fits nowhere", async () => {
  await run("huge", deployment("huge", "web", { resources: { requests: { cpu: "1000" } } }));
  await untilShown("huge", "1 Insufficient cpu", "MinimumReplicasUnavailable");
  await untilSaid(
    "huge",
    /^0 of 1 replicas are ready: pod web-\w+-\w+: Unschedulable: 0\/1 nodes are available: 1 Insufficient cpu/,
  );
});

test("a quota that lets no pod be made", async () => {
  const quota: KubeObject = {
    apiVersion: "v1",
    kind: "ResourceQuota",
    metadata: { name: "none", namespace: "full" },
    spec: { hard: { pods: "0" } },
  };
  await run("full", quota);
  // A quota takes a moment to be in force, and its controller to count: until then the pods were made.
  await untilRefused("full", "web", "exceeded quota: none");
  await run("full", quota, deployment("full", "web"));
  await untilShown("full", "exceeded quota: none", "MinimumReplicasUnavailable");
  await untilSaid("full", /FailedCreate: pods "web-\w+-\w+" is forbidden: exceeded quota: none/);
});

test("a policy that denies the pods of a DaemonSet", async () => {
  const policy: KubeObject = {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingAdmissionPolicy",
    metadata: { name: "no-latest" },
    spec: {
      matchConstraints: {
        resourceRules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["pods"] }],
      },
      validations: [{ expression: "!object.metadata.name.startsWith('denied')", message: "no pods of this name" }],
    },
  };
  const binding: KubeObject = {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingAdmissionPolicyBinding",
    metadata: { name: "no-latest" },
    spec: { policyName: "no-latest", validationActions: ["Deny"] },
  };
  await people.create(policy);
  await people.create(binding);
  const { spec } = deployment("denied", "denied") as unknown as { spec: JsonObject };
  const daemons: KubeObject = {
    apiVersion: "apps/v1",
    kind: "DaemonSet",
    metadata: { name: "denied", namespace: "denied" },
    spec: { selector: spec["selector"]!, template: spec["template"]! },
  };
  // A policy takes a moment to be in force: until then the pods were made.
  await untilRefused("default", "denied", "no pods of this name");
  await run("denied", daemons);
  await untilShown("denied", "no pods of this name");
  await untilSaid("denied", /FailedCreate: .*ValidatingAdmissionPolicy 'no-latest'.*no pods of this name/);
});

/** Asks until a pod of that name would be refused there for that reason. None is made. */
async function untilRefused(namespace: string, name: string, because: string): Promise<void> {
  const pod: KubeObject = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace },
    spec: { containers: [{ name: "web", image: "web:1" }] },
  };
  const refusal = (): Promise<string> => people.apply(pod, { dryRun: true }).then(() => "", String);
  while (!(await refusal()).includes(because)) await new Promise((resolve) => setTimeout(resolve, 50));
}

test("a claim that no volume answers", async () => {
  const claim: KubeObject = {
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata: { name: "data", namespace: "claims" },
    spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } }, storageClassName: "missing" },
  };
  await run("claims", claim);
  await untilShown("claims", 'storageclass.storage.k8s.io "missing" not found');
  await untilSaid(
    "claims",
    /^is Pending, not Bound: ProvisioningFailed: storageclass.storage.k8s.io "missing" not found/,
  );
});

test("an image that cannot be pulled, and a container that crashes with its exit code", async () => {
  await run("images", deployment("images", "web", { image: "unpullable.invalid/web:2" }));
  await untilShown("images", "ImagePullBackOff", "Failed to pull image", "MinimumReplicasUnavailable");
  await untilSaid(
    "images",
    /^0 of 1 replicas are ready: pod web-\w+-\w+: container web: ImagePullBackOff: Back-off pulling image unpullable.invalid\/web:2: Failed: Failed to pull image/,
  );
  await run("crashes", deployment("crashes", "web", { image: "crashing.invalid/web:2" }));
  await untilShown("crashes", "CrashLoopBackOff", "back-off 40s", "MinimumReplicasUnavailable");
  await untilSaid(
    "crashes",
    /container web: CrashLoopBackOff: back-off 40s restarting failed container: last ended with exit code 3/,
  );
});

async function untilWell(name: string): Promise<void> {
  for (;;) {
    await agent.engine.settled();
    const status = agent.engine.statuses().find(({ application }) => application === name);
    if (status !== undefined && status.current === status.objects) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test("a rollout that works costs no look, by the API server's own count", async () => {
  await run("well", deployment("well", "web", {}, 2));
  await untilWell("well");
  await clock.advance(3_600_000);
  await agent.engine.settled();
  expect(await looks("well")).toBe(0);
  expect(await looks("crashes")).toBeGreaterThan(0);
});

async function looks(namespace: string): Promise<number> {
  const own = (await plane.requests()).filter(({ user, verb }) => user === "agent" && verb === "list");
  const asked = own.filter((request) => request.namespace === namespace);
  return asked.filter(({ resource }) => ["pods", "replicasets", "events"].includes(resource)).length;
}
