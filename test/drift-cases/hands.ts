import { strict as assert } from "node:assert";
import type { Cluster } from "#agent/cluster/cluster.ts";
import type { KubeObject } from "#proto/object.ts";
import { silence, type DriftCase } from "./case.ts";
import { deployment, settings } from "./objects.ts";
import type { World } from "./world.ts";

const path = "spec.template.spec.containers[name=web].image";

/** A value that is another than ours under an entry that is ours. */
const healedOfNobody = {
  reported: ["changed, healed: data.level by unknown (admission or a forged entry)"],
  restored: true,
  writes: { "patch configmaps": 1 },
};

/** Other people's writes to what is ours. */
export const handCases: readonly DriftCase[] = [
  ...["kubectl-edit", "kubectl-set", "kubectl-patch"].map((tool): DriftCase => ({
    number: 8,
    name: `a value changed by ${tool}`,
    expected: { reported: [`changed, healed: ${path} by ${tool}`], restored: true, writes: { "patch deployments": 1 } },
    async run(world) {
      const web = deployment(world);
      await world.deploy([web]);
      return world.observe(() => world.edit(web, { [path]: "shop:evil" }, tool));
    },
  })),
  {
    number: 8,
    name: "a value changed by another's server-side apply",
    expected: {
      reported: ["changed, healed: data.level by kubectl"],
      restored: true,
      writes: { "patch configmaps": 1 },
    },
    async run(world) {
      await world.deploy([settings(world, { level: "info" })]);
      const other = await world.backend.as("kubectl");
      return world.observe(() => other.apply(settings(world, { level: "debug" }), { force: true }));
    },
  },
  {
    number: 8,
    name: "a value changed while a revision of its object is on its way",
    expected: {
      reported: ["changed, healed: data.level by kubectl-edit"],
      restored: false,
      writes: { "patch configmaps": 2 },
    },
    async run(world) {
      const a = (level: string) => settings(world, { level });
      let isAwaited = false;
      await world.stop();
      world.wrapAgent((cluster) => ({
        async apply(...[object, options]: Parameters<Cluster["apply"]>) {
          const answer = await cluster.apply(object, options);
          if (!isAwaited || object.kind !== "ConfigMap") return answer;
          isAwaited = false;
          const there = await world.edit(a(""), { "data.level": "debug" });
          // The event of it has come before the answer has.
          await world.until(() => world.hasJudged(there));
          return answer;
        },
      }));
      await world.start();
      await world.deploy([a("info")]);
      isAwaited = true;
      const observed = await world.observe(() => world.deploy([a("warn")]));
      assert.equal(await world.value(a(""), "data.level"), "warn");
      return observed;
    },
  },
  {
    number: 9,
    name: "many objects at once lose their ownership, as by an upgrade: put right five a second",
    // And what the server makes of fields that nobody owns is taken out of each again.
    expected: { ...silence, writes: { "patch configmaps": 60, "update configmaps": 60 } },
    async run(world) {
      const all = Array.from({ length: 60 }, (_, n) => settings(world, { level: "info" }, `c-${n}`));
      await world.deploy(all);
      const patched = async (): Promise<number> => (await world.requests())["patch configmaps"] ?? 0;
      const before = await patched();
      return world.observe(async () => {
        for (const one of all) await world.edit(one, { "metadata.managedFields": [{}] });
        await world.caughtUp();
        // Twenty at once, and what was begun beside them.
        assert.ok((await patched()) - before <= 28, `${(await patched()) - before} at once`);
      });
    },
  },
  {
    number: 9,
    name: "the same value applied by another",
    expected: silence,
    async run(world) {
      await world.deploy([settings(world, { level: "info" })]);
      const other = await world.backend.as("kubectl");
      return world.observe(() => other.apply(settings(world, { level: "info" }), { force: true }));
    },
  },
  {
    number: 10,
    name: "changed by one and put back by another before anyone looks",
    expected: { ...silence, writes: { "patch configmaps": 1 } },
    async run(world) {
      await world.deploy([settings(world, { level: "info" })]);
      return world.observeOffline(async () => {
        await world.edit(settings(world, {}), { "data.level": "debug" }, "first");
        await world.edit(settings(world, {}), { "data.level": "info" }, "second");
      });
    },
  },
  {
    number: 11,
    name: "scaled by hand, without an autoscaler",
    expected: {
      reported: ["changed, healed: spec.replicas by kubectl-edit"],
      restored: true,
      writes: { "patch deployments": 1 },
    },
    async run(world) {
      const web = deployment(world, { replicas: 2 });
      await world.deploy([web]);
      return world.observe(() => world.edit(web, { "spec.replicas": 5 }));
    },
  },
  {
    number: 18,
    name: "managedFields cleared, and a deletion from Git afterwards",
    expected: { ...silence, writes: { "patch configmaps": 1, "update configmaps": 1 } },
    async run(world) {
      const a = settings(world, { level: "info", gone: "soon" });
      await world.deploy([a]);
      const observed = await world.observe(() => world.edit(a, { "metadata.managedFields": [{}] }));
      await world.deploy([settings(world, { level: "info" })]);
      const { data } = (await world.get(a)) as { data?: unknown };
      if (JSON.stringify(data) !== '{"level":"info"}')
        throw new Error(`an orphan field stays: ${JSON.stringify(data)}`);
      return observed;
    },
  },
  {
    number: 19,
    name: "a forged entry: ours kept, the value another",
    expected: healedOfNobody,
    run: async (world) => {
      const a = settings(world, { level: "info" });
      await world.deploy([a]);
      return forged(world, a);
    },
  },
  {
    number: 19,
    name: "the same, with another owner of the field beside us, who did not do it",
    expected: healedOfNobody,
    run: async (world) => {
      const a = settings(world, { level: "info" });
      await world.deploy([a]);
      const { apiVersion, kind, metadata, ...content } = a;
      const { name, namespace = "" } = metadata;
      const helm = await world.backend.as("helm");
      await helm.apply({ apiVersion, kind, metadata: { name, namespace }, ...content }, { force: true });
      await world.caughtUp();
      return forged(world, a);
    },
  },
];

async function forged(world: World, a: KubeObject) {
  // Takes the field with its value, then gives the entry back as it was: the server believes what it is told.
  const before = (await world.get(a)).metadata.managedFields;
  return world.observeOffline(async () => {
    await world.edit(a, { "data.level": "debug" });
    await world.edit(a, { "metadata.managedFields": before });
  });
}
