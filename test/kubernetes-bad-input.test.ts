import { afterAll, beforeAll, expect, test } from "vitest";
import type { Authority } from "#agent/authority/authority.ts";
import { kubeconfigAccess } from "#agent/cluster/access.ts";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { ApiError } from "#agent/cluster/errors.ts";
import { openKubernetes } from "#agent/cluster/kubernetes.ts";
import { openTransport, type Transport } from "#agent/cluster/transport.ts";
import type { Engine } from "#agent/engine/engine.ts";
import { Journal } from "#agent/report/journal.ts";
import { objectsOf } from "#hub/render/objects.ts";
import { ApplicationPhase } from "#proto/gen/plumbline/agent/v1/agent.ts";
import type { Delivery } from "#proto/desired-state.ts";
import { clusterId } from "#proto/ids.ts";
import { refOf, type KubeObject } from "#proto/object.ts";
import { Documents } from "#test/harness/documents.ts";
import { openSharedControlPlane, type SharedControlPlane } from "#test/harness/shared-control-plane.ts";
import { startWebhook, type Verdict } from "#test/harness/webhook-server.ts";
import { startEngineFor } from "#test/harness/engine.ts";

// Each test is one row of what is wrong with Kubernetes, or with what somebody asks of it, on a real API server.
// K14 (servers that turn away, go silent, forget versions or take no old token) is kubernetes-access, kubernetes-client and drift case 30.
let plane: SharedControlPlane;
let people: Cluster;
let raw: Transport;

beforeAll(async () => {
  plane = await openSharedControlPlane();
  const access = await kubeconfigAccess(await plane.kubeconfig("bad-input-people", ["system:masters"]));
  people = openKubernetes(access, { manager: "kubectl-edit" });
  raw = openTransport(access);
});
afterAll(async () => {
  await Promise.all([people, raw, plane].map((one) => one[Symbol.asyncDispose]()));
});

/** One agent in this process, with a namespace for its Application. */
class Agent implements AsyncDisposable {
  readonly name: string;
  readonly documents: Documents;
  readonly journal = new Journal(1_000, () => Date.now());
  readonly #cluster: Cluster;
  engine!: Engine;
  #authority: Authority | undefined;

  constructor(name: string, cluster: Cluster) {
    this.name = name;
    this.documents = new Documents(clusterId(name));
    this.#cluster = cluster;
  }
  static async start(name: string, authority?: Authority): Promise<Agent> {
    const agent = new Agent(
      name,
      openKubernetes(await kubeconfigAccess(await plane.kubeconfig(name, ["system:masters"]))),
    );
    await people.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: `${name}-agent` } });
    agent.#authority = authority;
    await agent.#startEngine();
    return agent;
  }
  async #startEngine(): Promise<void> {
    this.engine = await startEngineFor(this.documents, {
      cluster: this.#cluster,
      namespace: `${this.name}-agent`,
      ...(this.#authority === undefined ? {} : { authority: this.#authority }),
      journal: this.journal,
    });
  }
  /** As after `kubectl rollout restart`, with other settings. */
  async restart(authority: Authority): Promise<void> {
    await this.engine[Symbol.asyncDispose]();
    this.#authority = authority;
    await this.#startEngine();
    await this.engine.settled();
  }
  get namespace(): KubeObject {
    return { apiVersion: "v1", kind: "Namespace", metadata: { name: this.name } };
  }
  settings(name: string, data: Record<string, string> = {}): KubeObject {
    return { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace: this.name }, data };
  }
  take(objects: readonly KubeObject[], delivery: Partial<Delivery> = {}): void {
    this.engine.take(this.documents.sign(this.documents.run("shop", objects, delivery)), "");
  }
  async apply(objects: readonly KubeObject[], delivery: Partial<Delivery> = {}): Promise<void> {
    this.take(objects, delivery);
    await this.engine.settled();
  }
  get status() {
    return this.engine.statuses()[0]!;
  }
  events($case: string): unknown[] {
    return this.journal.after(0n).flatMap(({ body }) => (body?.$case === $case ? [body.value] : []));
  }
  problems() {
    return this.events("problem") as { object: { name: string }; reason: string; message: string; final: boolean }[];
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.engine[Symbol.asyncDispose]();
    await this.#cluster[Symbol.asyncDispose]();
  }
}

const addressOf = (object: KubeObject) => ({ ...refOf(object), apiVersion: object.apiVersion });
const read = (object: KubeObject) => people.get(addressOf(object));
const uidOf = async (object: KubeObject) => (await read(object))?.metadata.uid ?? "";
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 10));
}
const definition = (name: string, scope = "Namespaced"): KubeObject => ({
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: `things.${name}.example.com` },
  spec: {
    group: `${name}.example.com`,
    scope,
    names: { plural: "things", singular: "thing", kind: "Thing", listKind: "ThingList" },
    versions: [
      {
        name: "v1",
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
      },
    ],
  },
});
const thing = (name: string, namespace: string | undefined, size = 1): KubeObject => ({
  apiVersion: `${name}.example.com/v1`,
  kind: "Thing",
  metadata: { name: "t", ...(namespace === undefined ? {} : { namespace }) },
  spec: { size },
});

test("K1 a kind that nobody serves stops the whole bundle before its first write, and it goes on when the kind comes", async () => {
  await using agent = await Agent.start("k1");
  const object = thing("k1", "k1");
  agent.take([agent.namespace, agent.settings("a"), object]);
  await until(() => agent.status.phase === ApplicationPhase.FAILED);
  expect(agent.status.reason).toContain("Thing k1/t: the API server does not serve k1.example.com/v1 Thing");
  expect(agent.problems()).toMatchObject([{ object: { name: "t" }, reason: "UnknownKind", final: false }]);
  expect(await read(agent.namespace)).toBeUndefined();
  await people.create(definition("k1"));
  await until(async () => (await read(object)) !== undefined);
  expect(await read(agent.settings("a"))).toBeDefined();
});

test("K2 a definition and an object of it in one bundle are applied in one go", async () => {
  await using agent = await Agent.start("k2");
  await agent.apply([agent.namespace, thing("k2", "k2"), definition("k2")]);
  expect(await read(thing("k2", "k2"))).toMatchObject({ spec: { size: 1 } });
  expect(agent.status).toMatchObject({ phase: ApplicationPhase.APPLIED, current: 3 });
});

test("K3 an immutable field is a final problem that names it; nothing is deleted to get it through", async () => {
  await using agent = await Agent.start("k3");
  const frozen = (data: Record<string, string>): KubeObject => ({ ...agent.settings("frozen", data), immutable: true });
  await agent.apply([agent.namespace, frozen({ a: "1" })]);
  const uid = await uidOf(frozen({}));
  await agent.apply([agent.namespace, frozen({ a: "2" }), agent.settings("other")]);
  expect(agent.problems()).toMatchObject([{ object: { name: "frozen" }, reason: "Invalid", final: true }]);
  expect(agent.problems()[0]!.message).toContain("immutable");
  expect(await uidOf(frozen({}))).toBe(uid);
  expect(await read(agent.settings("other"))).toBeDefined();
});

test("K4 a denying, a hanging and a missing webhook: denied is final, the others are tried again, the rest goes on", async () => {
  await using agent = await Agent.start("k4");
  let isHanging = true;
  const judge = ({ metadata }: KubeObject): Verdict | Promise<Verdict> => {
    if (metadata.name === "denied") return { denied: "no such thing here" };
    return metadata.name === "slow" && isHanging ? new Promise(() => undefined) : {};
  };
  await using webhook = await startWebhook(people, { kind: "Validating", name: "k4", namespace: "k4", judge });
  await people.create(agent.namespace);
  // The server takes a new webhook into use when it has seen it.
  const probe = agent.settings("probe");
  await until(async () => {
    await people.apply(probe, { force: true, dryRun: false });
    await people.replace({ ...(await read(probe))!, data: { at: String(performance.now()) } });
    return webhook.asked() > 0;
  });
  agent.take([agent.settings("denied"), agent.settings("slow"), agent.settings("fine")]);
  const problem = (name: string) => agent.problems().find(({ object }) => object.name === name);
  await until(() => problem("denied") !== undefined && problem("slow") !== undefined);
  // The others were sent beside them, and the webhook may take its time for each.
  await until(async () => (await read(agent.settings("fine"))) !== undefined);
  expect(problem("denied")).toMatchObject({
    final: true,
    message: expect.stringContaining("no such thing here") as string,
  });
  expect(problem("slow")).toMatchObject({
    final: false,
    message: expect.stringContaining("failed calling webhook") as string,
  });
  isHanging = false;
  await until(async () => (await read(agent.settings("slow"))) !== undefined);
  await agent.engine.settled();
  // A webhook that nobody answers refuses every write, which passes.
  await webhook.close();
  agent.take([agent.settings("slow"), agent.settings("fine", { a: "1" })]);
  await until(() => problem("fine") !== undefined);
  expect(problem("fine")).toMatchObject({ final: false });
});

test("K5 a full quota is waited for, and said; what a LimitRange forbids is final", async () => {
  await using agent = await Agent.start("k5");
  await people.create(agent.namespace);
  const quota: KubeObject = {
    apiVersion: "v1",
    kind: "ResourceQuota",
    metadata: { name: "none", namespace: "k5" },
    spec: { hard: { "count/configmaps": "0" } },
  };
  await people.create(quota);
  const status = { hard: { "count/configmaps": "0" }, used: { "count/configmaps": "0" } };
  // What the quota controller would write, which does not run here.
  await raw.call({
    method: "PATCH",
    path: "/api/v1/namespaces/k5/resourcequotas/none/status",
    contentType: "application/merge-patch+json",
    body: { status },
  });
  await people.create({
    apiVersion: "v1",
    kind: "LimitRange",
    metadata: { name: "small", namespace: "k5" },
    spec: { limits: [{ type: "Container", max: { cpu: "100m" } }] },
  });
  const pod: KubeObject = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "big", namespace: "k5" },
    spec: { containers: [{ name: "c", image: "c", resources: { limits: { cpu: "1" } } }] },
  };
  // Both are seen by the server's own watches first, and the quota before what its controller writes.
  const isRefused = async (object: KubeObject, because: string): Promise<boolean> =>
    (await people.apply(object, { dryRun: true }).then(() => "", String)).includes(because);
  await until(() => isRefused(pod, "maximum cpu"));
  await until(() => isRefused(agent.settings("q"), "exceeded quota"));
  agent.take([agent.settings("a"), pod]);
  await until(() => agent.problems().length >= 2);
  const problem = (name: string) => agent.problems().find(({ object }) => object.name === name);
  expect(problem("a")).toMatchObject({ final: false, message: expect.stringContaining("exceeded quota") as string });
  expect(problem("big")).toMatchObject({ final: true, message: expect.stringContaining("maximum cpu") as string });
  await people.delete(addressOf(quota), { uid: await uidOf(quota) });
  await until(async () => (await read(agent.settings("a"))) !== undefined);
});

test("K6 a namespace that is being deleted is waited for, and then made again with all in it", async () => {
  await using agent = await Agent.start("k6");
  await people.create(agent.namespace);
  const uid = await uidOf(agent.namespace);
  await people.delete(addressOf(agent.namespace), { uid });
  // Somebody else's: what is to be in it waits.
  agent.take([agent.settings("a")]);
  await until(() => agent.problems().length > 0);
  expect(agent.problems()).toMatchObject([
    { object: { name: "a" }, final: false, message: expect.stringContaining("is being terminated") as string },
  ]);
  // The Application's own.
  agent.take([agent.namespace, agent.settings("a")], { adopt: "take" });
  await until(() => agent.problems().some(({ reason }) => reason === "Terminating"));
  expect(agent.problems().every(({ final }) => !final)).toBe(true);
  // What the namespace controller does in the end.
  const there = (await read(agent.namespace))!;
  await raw.call({
    method: "PUT",
    path: "/api/v1/namespaces/k6/finalize",
    body: { ...there, spec: { finalizers: [] } },
  });
  await until(async () => (await read(agent.settings("a"))) !== undefined);
  expect(await uidOf(agent.namespace)).not.toBe(uid);
});

test("K7 a finalizer that never ends holds up no other prune, and is never stripped", async () => {
  await using agent = await Agent.start("k7");
  const stuck = agent.settings("stuck");
  const held = { ...stuck, metadata: { ...stuck.metadata, finalizers: ["example.com/never"] } };
  await agent.apply([agent.namespace, held, agent.settings("free")]);
  await agent.apply([agent.namespace]);
  expect(await read(agent.settings("free"))).toBeUndefined();
  const there = (await read(stuck))!;
  expect(there.metadata.deletionTimestamp).toBeDefined();
  expect(there.metadata.finalizers).toEqual(["example.com/never"]);
  expect(agent.status.phase).toBe(ApplicationPhase.APPLIED);
  expect(JSON.stringify(agent.events("notice"))).toMatch(
    /ConfigMap k7\/stuck: its deletion, asked for at \d{4}-\d\d-\S+Z, waits for its finalizers \(example\.com\/never\)/,
  );
  await people.replace({ ...there, metadata: { ...there.metadata, finalizers: [] } });
});

test("K8 a namespace on what has none is taken off by what the server says of the kind, and drift is seen all the same", async () => {
  await using agent = await Agent.start("k8");
  await people.create(definition("k8", "Cluster"));
  await until(async () => (await people.kindOf("k8.example.com/v1", "Thing")) !== undefined);
  // As a hub renders it that has not seen the definition.
  await agent.apply([agent.namespace, thing("k8", "k8")]);
  expect(agent.status).toMatchObject({ phase: ApplicationPhase.APPLIED, objects: 2 });
  const there = (await read(thing("k8", undefined)))!;
  expect(there.metadata.namespace).toBeUndefined();
  await people.replace({ ...there, spec: { size: 9 } });
  await until(async () => ((await read(thing("k8", undefined)))!["spec"] as { size: number }).size === 1);
});

test("K9 a namespaced object without a namespace is refused, never put into default", async () => {
  await using agent = await Agent.start("k9");
  const lost: KubeObject = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "k9-lost" } };
  await agent.apply([agent.namespace, lost]);
  expect(agent.status).toMatchObject({
    phase: ApplicationPhase.BLOCKED,
    reason: expect.stringContaining("ConfigMap k9-lost has no namespace") as string,
  });
  expect(await read(agent.namespace)).toBeUndefined();
  expect(await people.get({ ...addressOf(lost), namespace: "default" })).toBeUndefined();
});

test("K10 generateName is refused where it is written", () => {
  const text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: a-}\n";
  const render = () => objectsOf([{ path: "deploy/a.yaml", bytes: Buffer.from(text) }], "k10");
  expect(render).toThrow(/deploy\/a\.yaml:3: metadata\.generateName/);
});

test("K11 an object over Kubernetes' limits is told by name, and the rest goes on", async () => {
  await using agent = await Agent.start("k11");
  const notes = {
    ...agent.settings("notes"),
    metadata: { name: "notes", namespace: "k11", annotations: { a: "x".repeat(262_145) } },
  };
  const large = agent.settings("large", { a: "x".repeat(1_048_577) });
  // Where a hub renders it, and where it seals it.
  const written = { path: "deploy/notes.yaml", bytes: Buffer.from(JSON.stringify(notes)) };
  expect(() => objectsOf([written], "k11")).toThrow(/deploy\/notes\.yaml:1: metadata\.annotations have 262146 bytes/);
  expect(() => agent.take([large])).toThrow(/ConfigMap k11\/large is 1.0 MiB, at most 1 MiB is allowed/);
  await agent.apply([agent.namespace, notes, agent.settings("fine")]);
  const told = agent
    .problems()
    .map(({ object, final }) => `${object.name} ${final}`)
    .sort();
  expect(told).toEqual(["notes true"]);
  expect(await read(agent.settings("fine"))).toBeDefined();
});

test("K12 what another tool or person has made is not taken, and both masters are named", async () => {
  await using agent = await Agent.start("k12");
  await people.create(agent.namespace);
  const tracked = agent.settings("tracked", { a: "1" });
  const annotations = { "argocd.argoproj.io/tracking-id": "shop:/ConfigMap:k12/tracked" };
  await people.create({ ...tracked, metadata: { ...tracked.metadata, annotations } });
  await people.create(agent.settings("theirs", { a: "theirs" }));
  await agent.apply([tracked, agent.settings("theirs", { a: "ours" })]);
  const told = agent
    .problems()
    .map(({ object, message }) => `${object.name}: ${message}`)
    .sort();
  expect(told[0]).toMatch(/^theirs: exists already and differs \(\.data\.a\)/);
  expect(told[1]).toMatch(/^tracked: is managed by Argo CD/);
  expect((await read(agent.settings("theirs")))?.["data"]).toEqual({ a: "theirs" });
});

test("K13 a webhook that changes a value back each time is Contested, and no hot loop", async () => {
  await using agent = await Agent.start("k13");
  let level = 0;
  const judge = ({ metadata }: KubeObject): Verdict => {
    if (level === 0 || metadata.name !== "a") return {};
    level += 1;
    return { patch: [{ op: "replace", path: "/data/level", value: `admission-${level}` }] };
  };
  await using webhook = await startWebhook(people, { kind: "Mutating", name: "k13", namespace: "k13", judge });
  await agent.apply([agent.namespace, agent.settings("a", { level: "info" })]);
  await until(async () => {
    const there = (await read(agent.settings("a")))!;
    await people.replace({ ...there, metadata: { ...there.metadata, annotations: { at: String(performance.now()) } } });
    return webhook.asked() > 0;
  });
  level = 1;
  const there = (await read(agent.settings("a")))!;
  await people.replace({ ...there, data: { level: "debug" } });
  const contested = () => (agent.events("drift") as { state: number }[]).some(({ state }) => state === 3);
  await until(contested);
  await agent.engine.settled();
  const asked = webhook.asked();
  await agent.engine.settled();
  expect(webhook.asked()).toBe(asked);
});

test("K15 a plain Secret is delivered, and its values stand in no event and no status", async () => {
  await using agent = await Agent.start("k15");
  const hush = Buffer.from("correct horse").toString("base64");
  const secret: KubeObject = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "password", namespace: "k15" },
    data: { password: hush },
  };
  await agent.apply([agent.namespace, secret]);
  const there = (await read(secret))!;
  const other = Buffer.from("battery staple").toString("base64");
  await people.replace({ ...there, data: { password: other } });
  await until(() => agent.events("drift").length > 0);
  expect(((await read(secret))!["data"] as { password: string }).password).toBe(hush);
  const said = JSON.stringify([agent.events("drift"), agent.events("notice"), agent.status], (_key, value: unknown) =>
    typeof value === "bigint" ? String(value) : value,
  );
  expect(said).toContain("data.password");
  for (const value of [hush, other, "correct horse", "battery staple"]) expect(said).not.toContain(value);
});

test("K16 escalations and the agent's own: refused by this cluster's limits, heals and prunes too, whatever the document says", async () => {
  const limits = { kinds: ["ConfigMap", "Namespace"], namespaces: ["k16"] };
  await using agent = await Agent.start("k16", { profile: "admin", limits, defaultServiceAccount: "" });
  const rbac = "rbac.authorization.k8s.io";
  const roleRef = { apiGroup: rbac, kind: "ClusterRole", name: "cluster-admin" };
  const admin: KubeObject = {
    apiVersion: `${rbac}/v1`,
    kind: "ClusterRoleBinding",
    metadata: { name: "k16" },
    roleRef,
  };
  const a = agent.settings("a", { level: "info" });
  await agent.apply([agent.namespace, a]);
  for (const [forbidden, rule] of [
    [admin, `is of kind ${rbac}/ClusterRoleBinding`],
    [{ ...a, metadata: { name: "a", namespace: "default" } }, "is in namespace default"],
    [{ ...a, metadata: { name: "plumbline-keys", namespace: "k16-agent" } }, "is in the agent's own namespace"],
  ] as const) {
    await agent.apply([agent.namespace, { ...a, data: { level: "debug" } }, forbidden]);
    expect(agent.status).toMatchObject({
      phase: ApplicationPhase.BLOCKED,
      reason: expect.stringContaining(rule) as string,
    });
    expect(agent.problems().at(-1)).toMatchObject({ reason: "NotAllowedHere", final: true });
    expect(await read(forbidden)).toBeUndefined();
    expect((await read(a))?.["data"]).toEqual({ level: "info" });
  }
  // What ran before is healed to what it was, not to the bundle that was refused.
  await people.replace({ ...(await read(a))!, data: { level: "edited" } });
  await until(async () => ((await read(a))!["data"] as { level: string }).level === "info");
  // Limits that were narrowed since bind heals and prunes: hands off, and said.
  const b = agent.settings("b");
  await agent.apply([agent.namespace, a, b]);
  await agent.restart({ profile: "admin", limits: { ...limits, kinds: ["Namespace"] }, defaultServiceAccount: "" });
  expect(agent.status).toMatchObject({
    phase: ApplicationPhase.BLOCKED,
    reason: expect.stringContaining("is of kind ConfigMap") as string,
  });
  await agent.apply([agent.namespace]);
  expect(agent.status.phase).toBe(ApplicationPhase.APPLIED);
  expect(agent.events("pruned").at(-1)).toMatchObject({
    deleted: [],
    orphaned: [
      { kind: "ConfigMap", name: "b" },
      { kind: "ConfigMap", name: "a" },
    ],
  });
  for (const object of [a, b]) expect((await read(object))?.metadata.deletionTimestamp).toBeUndefined();
  for (const object of [a, b]) expect(await read(object)).toBeDefined();
});

test("K17 a definition and a Namespace that leave the bundle are let go, with all that is in them", async () => {
  await using agent = await Agent.start("k17");
  const stays = agent.settings("stays");
  await agent.apply([agent.namespace, definition("k17"), thing("k17", "k17"), stays]);
  await agent.apply([stays]);
  expect(await read(agent.namespace)).toBeDefined();
  expect((await read(agent.namespace))?.metadata.deletionTimestamp).toBeUndefined();
  expect(await read(definition("k17"))).toBeDefined();
  const told = agent.events("pruned") as { deleted: { kind: string }[]; orphaned: { kind: string }[] }[];
  expect(told.flatMap(({ orphaned }) => orphaned.map(({ kind }) => kind)).sort()).toEqual([
    "CustomResourceDefinition",
    "Namespace",
  ]);
  expect(told.flatMap(({ deleted }) => deleted.map(({ kind }) => kind))).toEqual(["Thing"]);
});

test("K18 an API whose own server is down: its objects are not gone, nothing of it is pruned, and the rest goes on", async () => {
  await using agent = await Agent.start("k18");
  const a = agent.settings("a");
  await agent.apply([agent.namespace, definition("k18"), thing("k18", "k18"), a]);
  const service: KubeObject = {
    apiVersion: "apiregistration.k8s.io/v1",
    kind: "APIService",
    metadata: { name: "v1.k18.example.com", labels: {} },
    spec: {
      group: "k18.example.com",
      version: "v1",
      groupPriorityMinimum: 1_000,
      versionPriority: 100,
      insecureSkipTLSVerify: true,
      service: { name: "nowhere", namespace: "k18" },
    },
  };
  // The group is handed to a server that does not answer, as when a metrics adapter is down.
  const handOver = async (): Promise<boolean> => {
    const before = await read(service);
    const given = before && { ...before, spec: service["spec"]!, metadata: { ...before.metadata, labels: {} } };
    try {
      await (given === undefined ? people.create(service) : people.replace(given));
      return true;
    } catch (error) {
      // The server registers the group by itself, and says of it that it is there, when it comes to it.
      if (error instanceof ApiError && error.status === 409) return false;
      throw error;
    }
  };
  await until(handOver);
  await until(() =>
    people
      .list({ group: "k18.example.com", version: "v1", kind: "Thing", resource: "things", namespaced: true, verbs: [] })
      .then(
        () => false,
        () => true,
      ),
  );
  agent.take([agent.namespace, definition("k18"), { ...a, data: { b: "2" } }]);
  await until(() => agent.status.phase === ApplicationPhase.FAILED);
  expect(agent.status.reason).toContain("Thing k18/t is not deleted");
  expect((await read(a))?.["data"]).toEqual({ b: "2" });
  expect(agent.events("pruned")).toEqual([]);
  expect(JSON.stringify(agent.events("drift"), (_key, value: unknown) => String(value))).not.toContain("Thing");
  await people.delete(addressOf(service), { uid: await uidOf(service) });
  // Back again, it is pruned as the document says.
  await until(() => agent.status.phase === ApplicationPhase.APPLIED);
  expect(agent.events("pruned")).toMatchObject([{ deleted: [{ kind: "Thing", name: "t" }] }]);
});
