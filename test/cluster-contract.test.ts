import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { kubeconfigAccess } from "#agent/cluster/access.ts";
import type { Cluster, KindInfo, WatchEvent } from "#agent/cluster/cluster.ts";
import { ApiError, UnknownKind } from "#agent/cluster/errors.ts";
import { openKubernetes } from "#agent/cluster/kubernetes.ts";
import { createSimulatedCluster } from "#agent/cluster/simulated/simulated.ts";
import { ownEntry } from "#agent/drift/fields.ts";
import { canonicalJson } from "#proto/json.ts";
import { refOf, type KubeObject } from "#proto/object.ts";
import { openSharedControlPlane, type SharedControlPlane } from "#test/harness/shared-control-plane.ts";
import { widgetsOf } from "./apply/widgets.ts";

/** One agent and one person at the same API server. */
type Both = { agent: Cluster; person: Cluster };

let plane: SharedControlPlane;
const real: Partial<Both> = {};
const simulated: Partial<Both> = {};

beforeAll(async () => {
  plane = await openSharedControlPlane();
  const open = async (user: string, manager?: string): Promise<Cluster> =>
    openKubernetes(
      await kubeconfigAccess(await plane.kubeconfig(user, ["system:masters"])),
      manager === undefined ? {} : { manager },
    );
  real.agent = await open("agent");
  real.person = await open("person", "kubectl-edit");
  const memory = createSimulatedCluster();
  simulated.agent = memory.connect();
  simulated.person = memory.connect("kubectl-edit");
});
afterAll(async () => {
  await real.agent?.[Symbol.asyncDispose]();
  await real.person?.[Symbol.asyncDispose]();
  await plane?.[Symbol.asyncDispose]();
});

const addressOf = (object: KubeObject) => ({ ...refOf(object), apiVersion: object.apiVersion });
const configMap = (
  namespace: string,
  name: string,
  data: Record<string, string>,
  labels = { suite: "contract" },
): KubeObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace, labels },
  data,
});
const deployment = (namespace: string, image: string, replicas?: number): KubeObject => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "web", namespace },
  spec: {
    ...(replicas === undefined ? {} : { replicas }),
    selector: { matchLabels: { app: "web" } },
    template: {
      metadata: { labels: { app: "web" } },
      spec: { containers: [{ name: "web", image, ports: [{ containerPort: 80 }], env: [{ name: "A", value: "1" }] }] },
    },
  },
});
const service = (namespace: string): KubeObject => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "web", namespace },
  spec: { selector: { app: "web" }, ports: [{ port: 80, targetPort: "http" }] },
});
const secret = (namespace: string): KubeObject => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name: "password", namespace },
  data: { password: "aHVzaA==" },
});
const definition = widgetsOf("example.com");
const statusOf = async (work: Promise<unknown>): Promise<number> =>
  work.then(
    () => 200,
    (error: unknown) => (error instanceof ApiError ? error.status : -1),
  );
const kindOf = async (cluster: Cluster, apiVersion: string, kind: string): Promise<KindInfo> =>
  (await cluster.kindOf(apiVersion, kind))!;

describe.each([
  ["the real API server", real],
  ["the simulated cluster", simulated],
])("%s", (name, both) => {
  const place = `contract-${name.split(" ").at(-1)!.toLowerCase()}`;
  const use = (): Both => both as Both;
  beforeAll(async () => {
    await use().person.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: place } });
  });

  test("an apply creates, and the same apply again writes nothing", async () => {
    const { agent } = use();
    const first = await agent.apply(configMap(place, "same", { a: "1" }));
    const second = await agent.apply(configMap(place, "same", { a: "1" }));
    expect(second.metadata.resourceVersion).toBe(first.metadata.resourceVersion);
    expect(first.metadata.uid).toMatch(/^[0-9a-f-]{36}$/);
    expect(first.metadata.creationTimestamp).toBeDefined();
  });

  test("a field of another manager is a conflict, taken by force, and freed when it is no longer applied", async () => {
    const { agent, person } = use();
    await person.create(configMap(place, "fight", { a: "theirs", b: "kept" }));
    const refusal = await agent.apply(configMap(place, "fight", { a: "ours" })).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(ApiError);
    expect(refusal).toMatchObject({ status: 409, reason: "Conflict" });
    expect((await agent.get(addressOf(configMap(place, "fight", {}))))?.["data"]).toEqual({ a: "theirs", b: "kept" });
    const taken = await agent.apply(configMap(place, "fight", { a: "ours", c: "new" }), { force: true });
    expect(taken["data"]).toEqual({ a: "ours", b: "kept", c: "new" });
    const less = await agent.apply(configMap(place, "fight", { a: "ours" }), { force: true });
    expect(less["data"]).toEqual({ a: "ours", b: "kept" });
  });

  test("an edit takes the path out of our entry, and a dry run writes nothing", async () => {
    const { agent, person } = use();
    const applied = await agent.apply(configMap(place, "edited", { a: "1", b: "2" }));
    const edited = await person.replace({ ...applied, data: { a: "other", b: "2" } });
    expect(canonicalJson(ownEntry(edited)?.fieldsV1)).not.toContain('"f:a"');
    expect(canonicalJson(ownEntry(edited)?.fieldsV1)).toContain('"f:b"');
    const dry = await agent.apply(configMap(place, "edited", { a: "1", b: "2" }), { force: true, dryRun: true });
    expect(dry["data"]).toEqual({ a: "1", b: "2" });
    expect((await agent.get(addressOf(applied)))?.["data"]).toEqual({ a: "other", b: "2" });
    expect(await statusOf(person.replace(applied))).toBe(409);
  });

  test("lists and watches by label; an object that loses it is told as deleted, with what it was", async () => {
    const { agent, person } = use();
    const kind = await kindOf(agent, "v1", "ConfigMap");
    const labelled = await agent.apply(configMap(place, "watched", { a: "1" }, { suite: "watch" }));
    const selection = { namespace: place, labelSelector: "suite=watch" };
    const { items, resourceVersion } = await agent.list(kind, selection);
    expect(items.map(({ metadata }) => metadata.name)).toEqual(["watched"]);
    const stop = new AbortController();
    const seen: WatchEvent[] = [];
    const watching = (async () => {
      for await (const event of agent.watch(kind, resourceVersion, { ...selection, signal: stop.signal }))
        if (event.type !== "BOOKMARK" && seen.push(event) === 3) return;
    })();
    const changed = await agent.apply(configMap(place, "watched", { a: "2" }, { suite: "watch" }));
    const bare = await person.replace({ ...changed, metadata: { ...changed.metadata, labels: {} } });
    await person.replace({ ...bare, metadata: { ...bare.metadata, labels: { suite: "watch" } } });
    await watching;
    stop.abort();
    expect(seen.map(({ type }) => type)).toEqual(["MODIFIED", "DELETED", "ADDED"]);
    expect(seen[1]).toMatchObject({ object: { data: { a: "2" }, metadata: { uid: labelled.metadata.uid } } });
  });

  test("lists and watches by field", async () => {
    const { agent } = use();
    const kind = await kindOf(agent, "v1", "ConfigMap");
    await agent.apply(configMap(place, "chosen", { a: "1" }));
    const selection = { namespace: place, fieldSelector: "metadata.name=chosen" };
    const { items, resourceVersion } = await agent.list(kind, selection);
    expect(items.map(({ metadata }) => metadata.name)).toEqual(["chosen"]);
    await agent.apply(configMap(place, "another", { a: "1" }));
    await agent.apply(configMap(place, "chosen", { a: "2" }));
    const stop = new AbortController();
    for await (const event of agent.watch(kind, resourceVersion, { ...selection, signal: stop.signal })) {
      if (event.type === "BOOKMARK") continue;
      expect(event).toMatchObject({ type: "MODIFIED", object: { metadata: { name: "chosen" }, data: { a: "2" } } });
      break;
    }
    stop.abort();
  });

  test("deletes one very object, and says gone for any other", async () => {
    const { agent, person } = use();
    const first = await agent.apply(configMap(place, "mortal", {}));
    const address = addressOf(first);
    expect(await agent.delete(address, { uid: "00000000-0000-0000-0000-000000000000" })).toBe("gone");
    expect(await agent.delete(address, { uid: first.metadata.uid! })).toBe("deleted");
    expect(await agent.get(address)).toBeUndefined();
    expect(await agent.delete(address, { uid: first.metadata.uid! })).toBe("gone");
    const held = await person.create({
      ...configMap(place, "held", {}),
      metadata: { name: "held", namespace: place, finalizers: ["example.com/hold"] },
    });
    await agent.delete(addressOf(held), { uid: held.metadata.uid! });
    const terminating = (await agent.get(addressOf(held)))!;
    expect(terminating.metadata.deletionTimestamp).toBeDefined();
    await person.replace({ ...terminating, metadata: { ...terminating.metadata, finalizers: [] } });
    expect(await agent.get(addressOf(held))).toBeUndefined();
  });

  test("refuses what has no namespace to be in, and kinds that nobody serves until their definition comes", async () => {
    const { agent } = use();
    expect(await statusOf(agent.apply(configMap("nowhere", "lost", {})))).toBe(404);
    const widget: KubeObject = {
      apiVersion: "example.com/v1",
      kind: "Widget",
      metadata: { name: "w", namespace: place },
      spec: { size: 1 },
    };
    await expect(agent.apply(widget)).rejects.toThrow(UnknownKind);
    await agent.apply(definition);
    // Discovery follows a new definition within a second or so.
    while ((await agent.kindOf("example.com/v1", "Widget")) === undefined)
      await new Promise((resolve) => setTimeout(resolve, 20));
    let applied: KubeObject | undefined;
    while (applied === undefined) applied = await agent.apply(widget).catch(() => undefined);
    expect(applied["spec"]).toEqual({ size: 1 });
  });
});

test("both give the same defaults and the same field sets for the same sequence of applies and edits", async () => {
  const told = async ({ agent, person }: Both): Promise<unknown[]> => {
    const place = "contract-same";
    await person.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: place } });
    const answers: KubeObject[] = [
      await agent.apply(configMap(place, "c", { a: "1", b: "2" })),
      await agent.apply(secret(place)),
      await agent.apply(deployment(place, "web:1", 2)),
      await agent.apply(deployment(place, "web:2", 2)),
      await agent.apply(service(place)),
    ];
    const web = (await person.get(addressOf(answers[2]!)))!;
    answers.push(await person.replace({ ...web, spec: { ...(web["spec"] as object), replicas: 5 } }));
    answers.push(await agent.apply(deployment(place, "web:2"), { force: true }));
    return answers.map((answer) => ({
      object: `${answer.kind} ${answer.metadata.name}`,
      own: canonicalJson(ownEntry(answer)?.fieldsV1 ?? {}),
      managers: (answer.metadata.managedFields ?? []).map(({ manager, operation }) => `${manager} ${operation}`).sort(),
      generation: answer.metadata.generation ?? 0,
      spec: withoutAddresses(answer["spec"] as object | undefined),
      data: answer["data"],
    }));
  };
  expect(await told(simulated as Both)).toEqual(await told(real as Both));
});

/** A server chooses these by itself. */
const withoutAddresses = (spec: object | undefined): object | undefined =>
  spec && Object.fromEntries(Object.entries(spec).filter(([field]) => !["clusterIP", "clusterIPs"].includes(field)));
