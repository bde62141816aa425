import { strict as assert } from "node:assert";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { ApiError, UnknownKind } from "#agent/cluster/errors.ts";
import type { KubeObject } from "#proto/object.ts";
import type { DriftCase } from "./case.ts";
import { settings } from "./objects.ts";
import type { World } from "./world.ts";

const everything = ["get", "list", "watch", "create", "update", "patch", "delete"];
const rbac = "rbac.authorization.k8s.io";

/** What an agent without rights to the whole cluster does, and one whose CRDs move on. */
export const rightsCases: readonly DriftCase[] = [
  {
    number: 40,
    name: "rights only in some namespaces: one watch in each, and said",
    isRealOnly: true,
    expected: {
      reported: ["changed, healed: data.level by kubectl-edit", "changed, healed: data.level by kubectl-edit"],
      restored: true,
      writes: { "patch configmaps": 2 },
    },
    async run(world) {
      const other = `${world.namespace}-b`;
      const a = settings(world, { level: "info" });
      const b = { ...a, metadata: { name: "b", namespace: other } };
      await restrict(world, { [world.namespace]: everything, [other]: everything });
      await world.take(world.documents.run("shop", [a, b]));
      world.follow([a, b]);
      await world.caughtUp();
      const observed = await world.observe(async () => {
        await world.edit(a, { "data.level": "debug" });
        await world.edit(b, { "data.level": "debug" });
      });
      const requests = (await world.backend.plane!.requests()).filter(({ user }) => user === world.user);
      const watched = requests.filter(({ verb, resource }) => verb === "watch" && resource === "configmaps");
      assert.deepEqual(watched.map(({ namespace, code }) => `${namespace} ${code}`).sort(), [
        `${world.namespace} 200`,
        `${other} 200`,
      ]);
      assert.match(JSON.stringify(world.events("notice")), /there is one watch in each namespace of its objects/);
      return observed;
    },
  },
  {
    number: 40,
    name: "no right to list and watch at all: each object is looked at once a minute, and said",
    isRealOnly: true,
    expected: {
      reported: ["changed, healed: data.level by kubectl-edit"],
      restored: true,
      writes: { "patch configmaps": 1 },
    },
    async run(world) {
      const a = settings(world, { level: "info" });
      await restrict(world, { [world.namespace]: ["get", "create", "patch"] });
      await world.take(world.documents.run("shop", [a]));
      assert.match(JSON.stringify(world.events("notice")), /each object is looked at every 60 s/);
      const observed = await world.observe(async () => {
        await world.edit(a, { "data.level": "debug" });
        await healed(world, async () => (await world.value(a, "data.level")) === "info");
      });
      // This is the one place where the agent polls: one forbidden LIST and one GET an object each minute.
      return { ...observed, loops: false };
    },
  },
  {
    number: 40,
    name: "a kind that its server does not watch: each object is looked at once a minute, and said",
    expected: {
      reported: ["changed, healed: data.level by kubectl-edit"],
      restored: true,
      writes: { "patch configmaps": 1 },
    },
    async run(world) {
      const a = settings(world, { level: "info" });
      await world.stop();
      world.wrapAgent(withoutWatch);
      await world.start();
      await world.take(world.documents.run("shop", [world.ownNamespace, a]));
      assert.match(
        JSON.stringify(world.events("notice")),
        /ConfigMap cannot be listed and watched: each object is looked/,
      );
      const observed = await world.observe(async () => {
        await world.edit(a, { "data.level": "debug" });
        await healed(world, async () => (await world.value(a, "data.level")) === "info");
      });
      return { ...observed, loops: false };
    },
  },
  {
    number: 40,
    name: "no right even to read: Unknown with the reason, never drift or a deletion",
    isRealOnly: true,
    expected: { reported: [], restored: true, writes: {} },
    async run(world) {
      const a = settings(world, { level: "info" });
      await restrict(world, { [world.namespace]: everything });
      await world.take(world.documents.run("shop", [a]));
      await world.stop();
      await restrict(world, { [world.namespace]: [] });
      const observed = await world.observe(async () => {
        await world.until(async () => {
          await world.clock.advance(1_000);
          return world.engine.statuses()[0]?.reason.includes("may not be looked at") === true;
        });
      });
      assert.ok(await world.person.get(world.address(a)));
      return { ...observed, reported: observed.reported.filter((line) => line.includes("drift")), loops: false };
    },
  },
  {
    number: 28,
    name: "a CRD drops the version that was applied: the loss of our entry is noticed, and it is applied as served",
    isRealOnly: true,
    expected: {
      reported: [],
      restored: false,
      // One is refused when the agent sees the edit before it hears that the version is no more.
      writes: undefined,
    },
    async run(world) {
      const { gadget } = await withGadget(world);
      const observed = await world.observe(async () => {
        await dropOldVersion(world);
        assert.deepEqual(ownVersions(await world.get(gadget)), ["v1alpha1"]);
        // Any write of anybody takes out of managedFields what was applied under a version that is no more.
        await world.edit(gadget, { "metadata.annotations.touched": "yes" });
        await healed(world, async () => ownVersions(await world.get(gadget))[0] === "v1");
        await healed(world, () => world.isCaughtUp());
      });
      assert.deepEqual(world.events("pruned"), []);
      return observed;
    },
  },
  {
    number: 28,
    name: "and what is changed or deleted after that is drift like any other, and pruned like any other",
    isRealOnly: true,
    expected: {
      // With the version the server forgets who owned what, the editor of that moment too.
      reported: [
        "changed, healed: spec.size by unknown (admission or a forged entry)",
        "deleted, healed by unknown (admission or a forged entry)",
      ],
      // It is read under another version than before.
      restored: false,
      writes: undefined,
    },
    async run(world) {
      const { gadget } = await withGadget(world);
      const observed = await world.observe(async () => {
        await dropOldVersion(world);
        await world.edit(gadget, { "spec.size": 5 });
        await healed(world, async () => (await world.value(gadget, "spec.size")) === 1);
        // The heal is more than that write: the server's own manager of what was there before goes with another.
        await healed(world, () => world.isCaughtUp());
        const { uid } = (await world.get(gadget)).metadata;
        await world.delete(gadget);
        await healed(world, async () => ((await world.person.get(world.address(gadget)))?.metadata.uid ?? uid) !== uid);
        await healed(world, () => world.isCaughtUp());
      });
      await world.take(world.documents.run("shop", [settings(world, {})]));
      assert.equal(await world.person.get(world.address(gadget)), undefined);
      return observed;
    },
  },
];

/** As the API server answers for a kind whose own server has no watch. */
const withoutWatch = (cluster: Cluster): Partial<Cluster> => ({
  watch(...asked: Parameters<Cluster["watch"]>) {
    if (asked[0].kind !== "ConfigMap") return cluster.watch(...asked);
    throw new ApiError(405, { reason: "MethodNotAllowed", message: "the server does not allow this method" });
  },
});

/** From its next start on the agent is a user with these rights to ConfigMaps, and to the Secrets of its own namespace. */
async function restrict(world: World, rights: Readonly<Record<string, readonly string[]>>): Promise<void> {
  const give = async (namespace: string, resource: string, verbs: readonly string[]): Promise<void> => {
    const metadata = { name: "agent", namespace };
    const rules = verbs.length === 0 ? [] : [{ apiGroups: [""], resources: [resource], verbs: [...verbs] }];
    const role = { apiGroup: rbac, kind: "Role", name: "agent" };
    const subjects = [{ apiGroup: rbac, kind: "User", name: world.user }];
    await world.person.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } });
    await world.person.apply({ apiVersion: `${rbac}/v1`, kind: "Role", metadata, rules }, { force: true });
    await world.person.apply({ apiVersion: `${rbac}/v1`, kind: "RoleBinding", metadata, roleRef: role, subjects });
  };
  await world.stop();
  await give(world.agentNamespace, "secrets", everything);
  for (const [namespace, verbs] of Object.entries(rights)) await give(namespace, "configmaps", verbs);
  world.accessAgent({ groups: [] });
  await world.start();
}

/** Waits are virtual: what the agent waits for comes as fast as it answers. */
const healed = (world: World, holds: () => Promise<boolean>): Promise<void> =>
  world.until(async () => {
    await world.clock.advance(1_000);
    return holds();
  });

const versionsOf = (world: World, names: readonly string[]): KubeObject => ({
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: `gadgets.${world.namespace}.example.com` },
  spec: {
    group: `${world.namespace}.example.com`,
    scope: "Namespaced",
    names: { plural: "gadgets", singular: "gadget", kind: "Gadget", listKind: "GadgetList" },
    versions: names.map((name) => ({
      name,
      served: true,
      storage: name === "v1",
      schema: {
        openAPIV3Schema: {
          type: "object",
          properties: { spec: { type: "object", properties: { size: { type: "integer" } } } },
        },
      },
    })),
  },
});

/** Somebody else's CRD with two versions, and an object of the older one, applied by the agent. */
async function withGadget(world: World): Promise<{ gadget: KubeObject }> {
  const gadget: KubeObject = {
    apiVersion: `${world.namespace}.example.com/v1alpha1`,
    kind: "Gadget",
    metadata: { name: "g", namespace: world.namespace },
    spec: { size: 1 },
  };
  await world.person.apply(versionsOf(world, ["v1", "v1alpha1"]));
  await world.until(async () => (await world.person.kindOf(gadget.apiVersion, "Gadget")) !== undefined);
  await world.deploy([gadget]);
  return { gadget };
}

async function dropOldVersion(world: World): Promise<void> {
  const old = `${world.namespace}.example.com/v1alpha1`;
  const kind = (await world.person.kindOf(old, "Gadget"))!;
  await world.person.apply(versionsOf(world, ["v1"]), { force: true });
  await world.until(async () => {
    try {
      await world.person.list(kind);
      return false;
    } catch (error) {
      if (!(error instanceof UnknownKind)) throw error;
      return (await world.person.servedKind(old, "Gadget"))?.version === "v1";
    }
  });
}

const ownVersions = ({ metadata }: KubeObject): string[] =>
  (metadata.managedFields ?? [])
    .filter(({ manager }) => manager === "plumbline")
    .map(({ apiVersion = "" }) => apiVersion.split("/").at(-1)!);
