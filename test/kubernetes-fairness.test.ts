import { afterAll, beforeAll, expect, test } from "vitest";
import { kubeconfigAccess } from "#agent/cluster/access.ts";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { openKubernetes } from "#agent/cluster/kubernetes.ts";
import { openTransport } from "#agent/cluster/transport.ts";
import { startEngine } from "#agent/engine/engine.ts";
import { Journal } from "#agent/report/journal.ts";
import { systemClock } from "#lib/clock.ts";
import { silentLog } from "#lib/log.ts";
import { openTelemetry } from "#lib/telemetry.ts";
import { ApplicationPhase } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { clusterId } from "#proto/ids.ts";
import type { KubeObject } from "#proto/object.ts";
import { Documents } from "#test/harness/documents.ts";
import { openSharedControlPlane, type SharedControlPlane } from "#test/harness/shared-control-plane.ts";

const user = "fairness-agent";
const agentNamespace = "fairness-agent";
const namespace = "fairness";
const level = "fairness";
/** Enough to be turned away many times: where a level has no seat, the server still lets one request at a time run. */
const objects = 60;

let plane: SharedControlPlane;
let people: Cluster;
beforeAll(async () => {
  plane = await openSharedControlPlane();
  people = openKubernetes(await kubeconfigAccess(plane.adminKubeconfig), { manager: "people" });
  await people.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: agentNamespace } });
  // Not by the group system:masters: that is exempt from priority and fairness.
  await people.apply({
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRoleBinding",
    metadata: { name: user },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
    subjects: [{ kind: "User", apiGroup: "rbac.authorization.k8s.io", name: user }],
  });
});
afterAll(async () => {
  await people[Symbol.asyncDispose]();
  await plane[Symbol.asyncDispose]();
});

const flowcontrol = "flowcontrol.apiserver.k8s.io/v1";
/** A priority level with so many shares of the server's seats, which queues nothing and borrows nothing. */
const levelOf = (nominalConcurrencyShares: number): KubeObject => ({
  apiVersion: flowcontrol,
  kind: "PriorityLevelConfiguration",
  metadata: { name: level },
  spec: {
    type: "Limited",
    limited: {
      nominalConcurrencyShares,
      lendablePercent: 0,
      borrowingLimitPercent: 0,
      limitResponse: { type: "Reject" },
    },
  },
});
const schemaOfUser: KubeObject = {
  apiVersion: flowcontrol,
  kind: "FlowSchema",
  metadata: { name: level },
  spec: {
    matchingPrecedence: 100,
    priorityLevelConfiguration: { name: level },
    rules: [
      {
        subjects: [{ kind: "User", user: { name: user } }],
        resourceRules: [{ verbs: ["*"], apiGroups: ["*"], resources: ["*"], namespaces: ["*"], clusterScope: true }],
      },
    ],
  },
};
const settings = (n: number): KubeObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: `c-${n}`, namespace },
  data: { n: String(n) },
});
const application = (): KubeObject[] => [
  { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } },
  ...Array.from({ length: objects - 1 }, (_, n) => settings(n)),
];

/** Asks as the agent's user, several at once and without ever waiting, until the server turns some away. */
async function untilTurnedAway(): Promise<void> {
  const access = await kubeconfigAccess(await plane.kubeconfig(user));
  let refused = 0;
  const clock = { ...systemClock, sleep: async (): Promise<void> => void (refused += 1) };
  await using transport = openTransport(access, { clock });
  const path = `/api/v1/namespaces/${agentNamespace}/configmaps`;
  const ask = (): Promise<unknown> => transport.call({ method: "GET", path }).catch(() => undefined);
  const asked = async (): Promise<number> => {
    await Promise.all(Array.from({ length: 8 }, ask));
    return refused;
  };
  await expect.poll(asked, { timeout: 30_000 }).toBeGreaterThan(0);
}

test("turned away for want of seats (429), an agent waits as long as the server asks, and finishes once there are some", async () => {
  const waits: number[] = [];
  const access = await kubeconfigAccess(await plane.kubeconfig(user));
  await using cluster = openKubernetes(access, { turnedAway: (waitMs) => void waits.push(waitMs) });
  await using telemetry = await openTelemetry("test", undefined);
  const documents = new Documents(clusterId("fairness"));
  await using engine = await startEngine({
    cluster,
    clusterId: documents.cluster,
    namespace: agentNamespace,
    trust: { rootKey: documents.rootKey, sealingKey: documents.sealingKey },
    fetch: documents.fetch,
    journal: new Journal(1_000, Date.now),
    clock: systemClock,
    log: silentLog,
    telemetry,
    onStatus: () => undefined,
  });
  await people.apply(levelOf(0));
  await people.apply(schemaOfUser);
  await untilTurnedAway();
  const refusals = async (): Promise<number> =>
    (await plane.requests()).filter((one) => one.user === user && one.code === 429).length;
  const before = await refusals();
  expect(waits).toEqual([]);

  engine.take(documents.sign(documents.run("shop", application())), "");
  await expect.poll(() => waits.length, { timeout: 60_000 }).toBeGreaterThanOrEqual(3);
  expect(engine.statuses()).not.toMatchObject([{ phase: ApplicationPhase.APPLIED }]);
  await people.apply(levelOf(100));
  await engine.settled();

  expect(engine.statuses()).toMatchObject([{ phase: ApplicationPhase.APPLIED, objects }]);
  // The server's Retry-After is a second or more.
  for (const wait of waits) expect(wait).toBeGreaterThanOrEqual(1_000);
  // Nothing is hammered and nothing goes uncounted: the audit log knows of each of them, and of no other.
  expect((await refusals()) - before).toBe(waits.length);
  const kind = (await people.kindOf("v1", "ConfigMap"))!;
  const { items } = await people.list(kind, { namespace, labelSelector: "plumbline.dev/agent=fairness" });
  expect(items).toHaveLength(objects - 1);
});
