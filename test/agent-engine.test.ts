import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { kubeconfigAccess } from "#agent/cluster/access.ts";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { openKubernetes } from "#agent/cluster/kubernetes.ts";
import type { Engine } from "#agent/engine/engine.ts";
import { Journal } from "#agent/report/journal.ts";
import { systemClock } from "#lib/clock.ts";
import { ApplicationPhase, DriftKind, DriftState, Health } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { clusterId } from "#proto/ids.ts";
import type { KubeObject } from "#proto/object.ts";
import { openSharedControlPlane, type SharedControlPlane } from "#test/harness/shared-control-plane.ts";
import { Documents } from "#test/harness/documents.ts";
import { startEngineFor } from "#test/harness/engine.ts";

const agentNamespace = "plumbline-agent";
let plane: SharedControlPlane;
let people: Cluster;
let namespace: string;
let documents: Documents;
let running: Awaited<ReturnType<typeof start>>;
let round = 0;

beforeAll(async () => {
  plane = await openSharedControlPlane();
  people = openKubernetes(await kubeconfigAccess(await plane.kubeconfig("people", ["system:masters"])), {
    manager: "kubectl-edit",
  });
});
afterAll(async () => {
  await people[Symbol.asyncDispose]();
  await plane[Symbol.asyncDispose]();
});
beforeEach(async () => {
  round += 1;
  namespace = `shop-${round}`;
  documents = new Documents(clusterId(`eu-${round}`));
  await people.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: `${agentNamespace}-${round}` } });
  running = await start();
});
afterEach(async () => {
  await running.stop();
});

async function start(
  seen: (cluster: Cluster) => Cluster = (cluster) => cluster,
  clock = systemClock,
): Promise<{ engine: Engine; journal: Journal; cluster: Cluster; stop(): Promise<void> }> {
  const user = `agent-${round}`;
  const cluster = openKubernetes(await kubeconfigAccess(await plane.kubeconfig(user, ["system:masters"])));
  const journal = new Journal(1_000, () => Date.now());
  const engine = await startEngineFor(documents, {
    cluster: seen(cluster),
    namespace: `${agentNamespace}-${round}`,
    journal,
    clock,
  });
  return {
    engine,
    journal,
    cluster,
    async stop() {
      await engine[Symbol.asyncDispose]();
      await cluster[Symbol.asyncDispose]();
    },
  };
}

const shop = (): KubeObject => ({ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } });
const settings = (name: string, data: Record<string, string>): KubeObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace },
  data,
});
const service = (name: string): KubeObject => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name, namespace },
  spec: { selector: { app: name }, ports: [{ port: 80 }] },
});
const configMap = (name: string) => ({ apiVersion: "v1", group: "", kind: "ConfigMap", namespace, name });
const read = async (name: string) => (await people.get(configMap(name)))?.["data"];
const events = ($case: string) =>
  running.journal.after(0n).flatMap(({ body }) => (body?.$case === $case ? [body.value] : []));

async function take(...entries: Parameters<Documents["sign"]>): Promise<void> {
  running.engine.take(documents.sign(...entries), "");
  await running.engine.settled();
}

/** Waits for what a watch brings, by asking the engine; the test's own time limit is the only clock. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 10));
}

async function writesOf(user: string): Promise<Record<string, number>> {
  const requests = await plane.requests();
  const counts: Record<string, number> = {};
  for (const request of requests)
    if (request.user === user && !["get", "list", "watch"].includes(request.verb)) {
      const name = `${request.verb} ${request.resource}`;
      counts[name] = (counts[name] ?? 0) + 1;
    }
  return counts;
}

test("applies a bundle, says so by a receipt, and remembers it over a restart without one write", async () => {
  const entry = documents.run("shop", [shop(), settings("a", { level: "info" }), service("web")]);
  await take(entry);
  expect(await read("a")).toEqual({ level: "info" });
  const [status] = running.engine.statuses();
  expect(status).toMatchObject({ phase: ApplicationPhase.APPLIED, health: Health.CURRENT, objects: 3, current: 3 });
  expect(events("receipt")).toMatchObject([{ healthy: true, created: 3 }]);
  const asked = (await plane.requests()).filter(({ user }) => user === `agent-${round}`);
  const lists = asked.filter(({ verb }) => verb === "list");
  expect(lists.length).toBeGreaterThan(0);
  // One from the server's cache may be older than what was seen.
  expect(lists.filter(({ uri }) => /[?&]resourceVersion/.test(uri))).toEqual([]);

  await running.stop();
  const before = await writesOf(`agent-${round}`);
  running = await start();
  await running.engine.settled();
  expect(running.engine.statuses()).toMatchObject([{ phase: ApplicationPhase.APPLIED, current: 3 }]);
  expect(await writesOf(`agent-${round}`)).toEqual(before);
});

test("many new Namespaces are looked for by one list, and one of somebody else is still adopted by the rule", async () => {
  const own = (name: string, labels = {}): KubeObject => ({
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: `${namespace}-${name}`, labels },
  });
  await people.create(own("c", { team: "theirs" }));
  await running.stop();
  // What was seen is believed for two seconds, of which none passes here however slow the server is.
  running = await start((cluster) => cluster, { ...systemClock, monotonic: () => 0 });
  await take(
    documents.run(
      "shop",
      ["a", "b", "c", "d", "e"].map((name) => own(name, { team: "ours" })),
    ),
  );
  const asked = (await plane.requests()).filter(
    ({ user, resource }) => user === `agent-${round}` && resource === "namespaces",
  );
  const reads = asked.filter(({ verb, uri }) => verb === "get" || (verb === "list" && !uri.includes("labelSelector")));
  expect(reads.map(({ verb }) => verb).sort()).toEqual(["get", "list"]);
  expect(events("problem")).toMatchObject([{ object: { name: `${namespace}-c` }, reason: "AdoptionRefused" }]);
});

test("one changed object costs one write and three bookkeeping writes", async () => {
  await take(documents.run("shop", [shop(), settings("a", { level: "info" }), settings("b", {})]));
  const before = await writesOf(`agent-${round}`);
  await take(documents.run("shop", [shop(), settings("a", { level: "debug" }), settings("b", {})]));
  const after = await writesOf(`agent-${round}`);
  const spent = Object.fromEntries(Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)]));
  expect(spent).toMatchObject({ "patch configmaps": 1, "create secrets": 1, "update secrets": 2 });
  expect(Object.values(spent).reduce((sum, count) => sum + count)).toBe(4);
});

test("heals a hand edit and a deletion, with field, tool and what was there", async () => {
  await take(documents.run("shop", [shop(), settings("a", { level: "info" })]));
  const edited = (await people.get(configMap("a")))!;
  await people.replace({ ...edited, data: { level: "debug" } });
  await until(async () => events("drift").length === 1);
  expect(await read("a")).toEqual({ level: "info" });
  expect(events("drift")).toMatchObject([
    {
      state: DriftState.HEALED,
      kind: DriftKind.CHANGED,
      object: { kind: "ConfigMap", name: "a" },
      fields: [{ path: "data.level", before: "info", after: "debug" }],
      tool: "kubectl-edit",
    },
  ]);
  const there = (await people.get(configMap("a")))!;
  await people.delete(configMap("a"), { uid: there.metadata.uid! });
  await until(async () => events("drift").length === 2);
  expect(await read("a")).toEqual({ level: "info" });
  expect(events("drift")[1]).toMatchObject({ kind: DriftKind.DELETED, state: DriftState.HEALED });
});

test("a label taken away is put back, and a foreign object with our label is nobody's", async () => {
  await take(documents.run("shop", [shop(), settings("a", { level: "info" })]));
  const there = (await people.get(configMap("a")))!;
  await people.replace({ ...there, metadata: { ...there.metadata, labels: {} } });
  const label = { "plumbline.dev/agent": documents.cluster };
  await people.create({ ...settings("foreign", {}), metadata: { name: "foreign", namespace, labels: label } });
  await until(async () => (await people.get(configMap("a")))?.metadata.labels?.["plumbline.dev/agent"] !== undefined);
  await until(() => events("drift").length === 1);
  expect(events("drift")).toMatchObject([{ kind: DriftKind.LABEL_REMOVED, state: DriftState.HEALED }]);
  expect(running.engine.statuses()).toMatchObject([{ objects: 2 }]);
});

test("deletes exactly what left the bundle, and nothing for an absent or held entry", async () => {
  const both = documents.run("shop", [shop(), settings("a", {}), settings("b", {})]);
  const other = documents.run("other", [settings("c", {})]);
  await take(both, other);
  await take(documents.run("shop", [shop(), settings("a", {})]));
  expect(await people.get(configMap("a"))).toBeDefined();
  expect(await people.get(configMap("b"))).toBeUndefined();
  expect(await people.get(configMap("c"))).toBeDefined();
  expect(events("pruned")).toMatchObject([{ deleted: [{ name: "b" }], orphaned: [] }]);
  await take(documents.hold("shop", "does not render"));
  expect(await people.get(configMap("a"))).toBeDefined();
});

test("an object that moves to another Application is not deleted on its way", async () => {
  await take(
    documents.run("first", [shop(), settings("a", {}), settings("b", {})]),
    documents.run("second", [service("web")]),
  );
  const uid = (await people.get(configMap("b")))!.metadata.uid;
  await take(
    documents.run("first", [shop(), settings("a", {})]),
    documents.run("second", [service("web"), settings("b", {})]),
  );
  await until(() => running.engine.statuses().find(({ application }) => application === "first")?.objects === 2);
  expect((await people.get(configMap("b")))?.metadata.uid).toBe(uid);
  expect(events("pruned")).toEqual([]);
});

test("an emptied bundle deletes nothing until Git allows the very plan", async () => {
  const many = Array.from({ length: 12 }, (_, n) => settings(`c${n}`, {}));
  await take(documents.run("shop", [shop(), ...many]));
  await take(documents.run("shop", [shop()]));
  const [blocked] = events("pruned") as { blocked: string; planHash: string }[];
  expect(blocked?.blocked).toContain("12 of 13 objects would be deleted");
  expect(await people.get(configMap("c0"))).toBeDefined();
  await take(documents.run("shop", [shop()], { allowPrune: blocked!.planHash }));
  expect(await people.get(configMap("c0"))).toBeUndefined();
});

test("a LIST that is answered only after the first applies is no server that went back in time", async () => {
  await running.stop();
  const listed = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  running = await start((cluster) => ({
    ...cluster,
    async list(kind, selection) {
      const list = await cluster.list(kind, selection);
      if (kind.kind !== "ConfigMap") return list;
      listed.resolve();
      await release.promise;
      return list;
    },
    async apply(object, options) {
      if (object.kind === "ConfigMap") await listed.promise;
      const answer = await cluster.apply(object, options);
      // The turn after next: by then its answer was taken.
      if (object.kind === "ConfigMap") setImmediate(() => setImmediate(release.resolve));
      return answer;
    },
  }));
  await take(documents.run("shop", [shop(), settings("a", { level: "ours" })]));
  expect(running.engine.statuses()).toMatchObject([{ phase: ApplicationPhase.APPLIED, drifted: 0 }]);
  await people.apply(settings("a", { level: "theirs" }), { force: true });
  while (events("drift").length === 0) await new Promise((resolve) => setImmediate(resolve));
  await running.engine.settled();
  expect(await read("a")).toEqual({ level: "ours" });
  // At its end whatever it had begun to write anew is written, and said.
  await running.engine[Symbol.asyncDispose]();
  expect(events("notice")).toEqual([]);
});

test("a namespace that somebody makes after it was looked for, and before a slow apply comes to it, is no new one", async () => {
  await running.stop();
  let lateMs = 0;
  let isSlow = false;
  // From the look on two seconds pass between any two readings.
  const clock = {
    ...systemClock,
    monotonic: () => systemClock.monotonic() + (lateMs += isSlow ? 2_000 : 0),
  };
  const namespaces = Array.from({ length: 4 }, (_, n) => ({
    ...shop(),
    metadata: { name: `${namespace}-${n}` },
  }));
  running = await start(
    (cluster) => ({
      ...cluster,
      async list(kind, selection) {
        const list = await cluster.list(kind, selection);
        if (kind.kind !== "Namespace" || selection?.labelSelector !== undefined) return list;
        await people.create(namespaces[3]!);
        isSlow = true;
        return list;
      },
    }),
    clock,
  );
  await take(documents.run("shop", namespaces, { adopt: "never" }));
  expect(events("problem")).toMatchObject([{ object: { name: `${namespace}-3` }, reason: "AdoptionRefused" }]);
  const theirs = { apiVersion: "v1", group: "", kind: "Namespace", namespace: "", name: `${namespace}-3` };
  expect((await people.get(theirs))?.metadata.labels).not.toHaveProperty("plumbline.dev/agent");
});

test("a removal deletes the inventory, keeps what is protected, and orphans when asked to", async () => {
  await take(documents.run("shop", [shop(), settings("a", {})]), documents.run("let-go", [service("web")]));
  await take(documents.remove("shop", "delete"), documents.remove("let-go", "orphan"));
  expect(await people.get(configMap("a"))).toBeUndefined();
  expect(
    await people.get({ apiVersion: "v1", group: "", kind: "Namespace", namespace: "", name: namespace }),
  ).toBeDefined();
  expect(await people.get({ ...configMap("web"), kind: "Service" })).toBeDefined();
  const told = events("pruned") as { deleted: { name: string }[]; orphaned: { kind: string }[] }[];
  expect(told.flatMap(({ deleted }) => deleted)).toMatchObject([{ name: "a" }]);
  expect(told.flatMap(({ orphaned }) => orphaned.map(({ kind }) => kind)).sort()).toEqual(["Namespace", "Service"]);
});

test("an object of somebody else is not overwritten, and the rest of the Application goes on", async () => {
  await people.create(shop());
  await people.create(settings("a", { level: "theirs" }));
  await take(documents.run("shop", [settings("a", { level: "ours" }), settings("b", {})]));
  expect(await read("a")).toEqual({ level: "theirs" });
  expect(await people.get(configMap("b"))).toBeDefined();
  expect(running.engine.statuses()).toMatchObject([{ phase: ApplicationPhase.FAILED }]);
  expect(events("problem")).toMatchObject([{ object: { name: "a" }, reason: "AdoptionRefused", final: true }]);
  await take(documents.run("shop", [settings("a", { level: "ours" }), settings("b", {})], { adopt: "take" }));
  expect(await read("a")).toEqual({ level: "ours" });
});

test("drift made while the agent was down is reported first and then healed", async () => {
  await take(documents.run("shop", [shop(), settings("a", { level: "info" }), settings("b", {})]));
  await running.stop();
  const edited = (await people.get(configMap("a")))!;
  await people.replace({ ...edited, data: { level: "debug" } });
  const b = (await people.get(configMap("b")))!;
  await people.delete(configMap("b"), { uid: b.metadata.uid! });
  running = await start();
  await until(() => events("drift").length === 2);
  expect(await read("a")).toEqual({ level: "info" });
  expect(await people.get(configMap("b"))).toBeDefined();
});

test("in report mode drift is seen and ended, and nothing is written", async () => {
  await take(documents.run("shop", [shop(), settings("a", { level: "info" })], { drift: "report" }));
  const edited = (await people.get(configMap("a")))!;
  await people.replace({ ...edited, data: { level: "debug" } });
  await until(() => events("drift").length === 1);
  expect(events("drift")).toMatchObject([{ state: DriftState.SEEN, fields: [{ path: "data.level" }] }]);
  expect(await read("a")).toEqual({ level: "debug" });
  await people.replace({ ...(await people.get(configMap("a")))!, data: { level: "info" } });
  await until(() => events("drift").length === 2);
  expect(events("drift")[1]).toMatchObject({ state: DriftState.ENDED });
});

test("a document of another root or cluster changes nothing", async () => {
  await take(documents.run("shop", [shop(), settings("a", {})]));
  const stranger = new Documents(documents.cluster);
  running.engine.take(stranger.sign(stranger.run("shop", [shop()])), "");
  await running.engine.settled();
  expect(events("refusal")).toMatchObject([{ reason: "BadSignature" }]);
  expect(await people.get(configMap("a"))).toBeDefined();
});

test("an object in two Applications is refused, naming both", async () => {
  await take(documents.run("first", [shop(), settings("a", {})]), documents.run("second", [settings("a", {})]));
  const second = running.engine.statuses().find(({ application }) => application === "second");
  expect(second).toMatchObject({
    phase: ApplicationPhase.BLOCKED,
    reason: expect.stringContaining("also in first") as string,
  });
});
