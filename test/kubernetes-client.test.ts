import { afterAll, beforeAll, expect, test } from "vitest";
import { kubeconfigAccess } from "#agent/cluster/access.ts";
import type { Cluster, WatchEvent } from "#agent/cluster/cluster.ts";
import { ApiError, UnknownKind, WatchSilent } from "#agent/cluster/errors.ts";
import { openKubernetes } from "#agent/cluster/kubernetes.ts";
import { refOf, type KubeObject } from "#proto/object.ts";
import { openSharedControlPlane, type SharedControlPlane } from "#test/harness/shared-control-plane.ts";

let plane: SharedControlPlane;
let cluster: Cluster;

beforeAll(async () => {
  plane = await openSharedControlPlane();
  cluster = openKubernetes(await kubeconfigAccess(await plane.kubeconfig("client-agent", ["system:masters"])));
  await cluster.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: "client" } });
});

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  await plane[Symbol.asyncDispose]();
});

const configMap = (name: string, data: Record<string, string> = { a: "1" }): KubeObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "client", labels: { suite: "client" } },
  data,
});
const addressOf = (object: KubeObject) => ({ ...refOf(object), apiVersion: object.apiVersion });
const kind = async (apiVersion: string, name: string) => {
  const found = await cluster.kindOf(apiVersion, name);
  if (found === undefined) throw new Error(`${apiVersion} ${name} is not served`);
  return found;
};

test("applies as one named owner, keeps every field it was given, and writes nothing the second time", async () => {
  const policy: KubeObject = {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { name: "web", namespace: "client" },
    spec: {
      podSelector: {},
      policyTypes: ["Ingress"],
      ingress: [{ from: [{ podSelector: { matchLabels: { role: "db" } } }] }],
    },
  };
  const first = await cluster.apply(policy);
  // A client that loses `from` opens the policy to everyone.
  expect(first).toMatchObject({ spec: policy["spec"] as object });
  expect(first.metadata.managedFields?.map(({ manager, operation }) => `${manager} ${operation}`)).toEqual([
    "plumbline Apply",
  ]);
  const second = await cluster.apply(policy);
  expect(second.metadata.resourceVersion).toBe(first.metadata.resourceVersion);
});

test("refuses a field that the server does not know, naming it", async () => {
  const misspelt = { ...configMap("misspelt"), dat: {} };
  await expect(cluster.apply(misspelt)).rejects.toThrow(/dat/);
  expect(await cluster.get(addressOf(misspelt))).toBeUndefined();
});

test("tells a conflict with another owner, and takes the field only when forced", async () => {
  await cluster.create(configMap("shared", { a: "theirs" }));
  const conflict = await cluster.apply(configMap("shared", { a: "ours" })).catch((error: unknown) => error);
  // The same manager by another operation is another owner.
  expect(conflict).toBeInstanceOf(ApiError);
  expect(conflict).toMatchObject({ status: 409, reason: "Conflict", fields: [".data.a"] });
  expect(await cluster.apply(configMap("shared", { a: "ours" }), { force: true })).toMatchObject({
    data: { a: "ours" },
  });
});

test("a dry run answers and changes nothing", async () => {
  const answer = await cluster.apply(configMap("dry"), { dryRun: true });
  expect(answer.metadata.uid).toBeDefined();
  expect(await cluster.get(addressOf(answer))).toBeUndefined();
});

test("lists every page of one version, by label", async () => {
  await Promise.all(Array.from({ length: 520 }, (_, n) => cluster.apply({ ...labelled(`page-${n}`) })));
  const { items } = await cluster.list(await kind("v1", "ConfigMap"), { labelSelector: "suite=pages" });
  expect(items).toHaveLength(520);
  expect(items[0]).toMatchObject({ apiVersion: "v1", kind: "ConfigMap" });
});
const labelled = (name: string): KubeObject => ({
  ...configMap(name),
  metadata: { name, namespace: "client", labels: { suite: "pages" } },
});

test("watches from a version on, hears a lost label as a deletion, and ends by its signal", async () => {
  const kindInfo = await kind("v1", "ConfigMap");
  const { resourceVersion } = await cluster.list(kindInfo, { labelSelector: "suite=watch" });
  const stop = new AbortController();
  const object = (data: Record<string, string>, suite: string): KubeObject => ({
    ...configMap("watched", data),
    metadata: { name: "watched", namespace: "client", labels: { suite } },
  });
  const heard: string[] = [];
  const watching = (async () => {
    const events = cluster.watch(kindInfo, resourceVersion, { labelSelector: "suite=watch", signal: stop.signal });
    for await (const event of events) {
      heard.push(said(event));
      if (event.type === "DELETED") stop.abort(new Error("heard enough"));
    }
  })();
  const ended = expect(watching).rejects.toThrow("heard enough");
  await cluster.apply(object({ a: "1" }, "watch"));
  await cluster.apply(object({ a: "2" }, "watch"));
  await cluster.apply(object({ a: "2" }, "elsewhere"));
  await ended;
  expect(heard).toEqual(["ADDED 1", "MODIFIED 2", "DELETED 2"]);
  expect(await cluster.get(addressOf(object({}, "")))).toBeDefined();
});
const said = (event: WatchEvent): string =>
  event.type === "BOOKMARK" ? event.type : `${event.type} ${(event.object["data"] as { a: string }).a}`;

test("says that a watch is silent, instead of trusting it for ever", async () => {
  await using impatient = openKubernetes(await kubeconfigAccess(plane.adminKubeconfig), { silenceMs: 200 });
  const kindInfo = await kind("v1", "ConfigMap");
  // A version of the future is what an etcd restored from a backup leaves every watcher with: 200, then nothing.
  const { resourceVersion } = await cluster.list(kindInfo);
  const future = String(BigInt(resourceVersion) + 1_000_000n);
  await expect(drain(impatient.watch(kindInfo, future))).rejects.toThrow(WatchSilent);
});

async function drain(events: AsyncIterable<WatchEvent>): Promise<void> {
  for await (const event of events) void event;
}

test("deletes only the very object it means", async () => {
  const first = await cluster.apply(configMap("reborn"));
  const uid = first.metadata.uid ?? "";
  expect(await cluster.delete(addressOf(first), { uid })).toBe("deleted");
  expect(await cluster.delete(addressOf(first), { uid })).toBe("gone");
  const second = await cluster.apply(configMap("reborn"));
  expect(await cluster.delete(addressOf(first), { uid })).toBe("gone");
  expect((await cluster.get(addressOf(first)))?.metadata.uid).toBe(second.metadata.uid);
});

test("finds a kind that came after it looked, and says which kind is not served", async () => {
  const crontab: KubeObject = {
    apiVersion: "example.dev/v1",
    kind: "CronTab",
    metadata: { name: "nightly", namespace: "client" },
    spec: { replicas: 9007199254740993n },
  };
  await expect(cluster.apply(crontab)).rejects.toThrow(UnknownKind);
  await cluster.apply({
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: "crontabs.example.dev" },
    spec: {
      group: "example.dev",
      scope: "Namespaced",
      names: { plural: "crontabs", singular: "crontab", kind: "CronTab" },
      versions: [
        {
          name: "v1",
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: "object", properties: { spec: cronTabSpec } } },
        },
      ],
    },
  });
  await expect
    .poll(() => cluster.apply(crontab).then((stored) => stored["spec"], String), { timeout: 20_000 })
    .toEqual({ replicas: 9007199254740993n });
});
const cronTabSpec = { type: "object", properties: { replicas: { type: "integer", format: "int64" } } };

test("costs the API server the requests it says, under its own name", async () => {
  const before = (await plane.requests()).length;
  await cluster.apply(configMap("counted"));
  await cluster.get(addressOf(configMap("counted")));
  const cost = (await plane.requests()).slice(before).filter(({ user }) => user === "client-agent");
  expect(cost.map(({ verb, name }) => `${verb} ${name}`)).toEqual(["patch counted", "get counted"]);
});
