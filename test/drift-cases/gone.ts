import { strict as assert } from "node:assert";
import type { Cluster } from "#agent/cluster/cluster.ts";
import type { KubeObject } from "#proto/object.ts";
import { silence, type DriftCase } from "./case.ts";
import { deployment, settings } from "./objects.ts";
import type { World } from "./world.ts";

const unknown = "by unknown (admission or a forged entry)";
const labelPath = 'metadata.labels["plumbline.dev/agent"]';

/** Whether there is one under another uid by now. */
async function isAnother(world: World, object: KubeObject, uid: string | undefined): Promise<boolean> {
  return ((await world.person.get(world.address(object)))?.metadata.uid ?? uid) !== uid;
}

/** Objects that go away, lose their label, or come back as others. */
export const goneCases: readonly DriftCase[] = [
  {
    number: 20,
    name: "deleted",
    expected: { reported: [`deleted, healed ${unknown}`], restored: true, writes: { "patch configmaps": 1 } },
    async run(world) {
      const a = settings(world, { level: "info" });
      await world.deploy([a]);
      return world.observe(() => world.deleteAndWait(a));
    },
  },
  {
    number: 20,
    name: "deleted with a finalizer: made again once it is gone",
    expected: { reported: [`deleted, healed ${unknown}`], restored: true, writes: { "patch configmaps": 1 } },
    async run(world) {
      const a = settings(world, { level: "info" });
      await world.deploy([a]);
      return world.observe(async () => {
        await world.edit(a, { "metadata.finalizers": ["example.com/wait"] });
        await world.delete(a);
        await world.caughtUp();
        await world.clock.advance(10_000);
        await world.caughtUp();
        const { metadata } = await world.get(a);
        await world.edit(a, { "metadata.finalizers": [] });
        await world.until(() => isAnother(world, a, metadata.uid));
      });
    },
  },
  {
    number: 20,
    name: "deleted with a finalizer, and its label taken off meanwhile: left alone until it is gone, and made again",
    expected: { reported: [`deleted, healed ${unknown}`], restored: true, writes: { "patch configmaps": 1 } },
    async run(world) {
      const a = settings(world, { level: "info" });
      await world.deploy([a]);
      return world.observe(async () => {
        await world.edit(a, { "metadata.finalizers": ["example.com/wait"] });
        await world.delete(a);
        // For a watch by label it is gone from here on.
        const { metadata } = await world.edit(a, { "metadata.labels": {} });
        const looks = async (): Promise<number> => (await world.requests())["get configmaps"] ?? 0;
        const before = await looks();
        const isLater = (again: boolean) => async (): Promise<boolean> => {
          await world.clock.advance(1_000);
          await world.engine.settled();
          return again ? isAnother(world, a, metadata.uid) : (await looks()) > before + 1;
        };
        await world.until(isLater(false));
        await world.edit(a, { "metadata.finalizers": [] });
        await world.until(isLater(true));
      });
    },
  },
  {
    number: 20,
    name: "deleted while a change of it is being healed",
    expected: { reported: [`deleted, healed ${unknown}`], restored: true, writes: { "patch configmaps": 1 } },
    async run(world) {
      const a = settings(world, { level: "info" });
      await world.deploy([a]);
      let isAwaited = false;
      world.wrapAgent((cluster) => ({
        async apply(...[object, options]: Parameters<Cluster["apply"]>) {
          if (isAwaited && object.kind === a.kind) {
            isAwaited = false;
            await world.delete(a);
          }
          return cluster.apply(object, options);
        },
      }));
      await world.stop();
      await world.start();
      await world.caughtUp();
      isAwaited = true;
      return world.observe(async () => {
        const { uid } = (await world.edit(a, { "data.level": "debug" })).metadata;
        await world.until(async () => ((await world.person.get(world.address(a)))?.metadata.uid ?? uid) !== uid);
      });
    },
  },
  {
    number: 20,
    name: "deleted, its dependants orphaned",
    expected: { reported: [`deleted, healed ${unknown}`], restored: true, writes: { "patch deployments": 1 } },
    isRealOnly: true,
    async run(world) {
      const web = deployment(world, { replicas: 1 });
      await world.deploy([web]);
      return world.observe(() => world.deleteAndWait(web, "Orphan"));
    },
  },
  {
    number: 22,
    name: "our label removed",
    expected: {
      reported: [`label removed, healed: ${labelPath} ${unknown}`],
      restored: true,
      writes: { "patch configmaps": 1 },
    },
    async run(world) {
      const a = settings(world, { level: "info" });
      await world.deploy([a]);
      return world.observe(() => world.edit(a, { "metadata.labels": {} }));
    },
  },
  {
    number: 22,
    name: "our label changed to another agent's",
    expected: {
      reported: [`label removed, healed: ${labelPath} by kubectl-edit`],
      restored: true,
      writes: { "patch configmaps": 1 },
    },
    async run(world) {
      const a = settings(world, { level: "info" });
      await world.deploy([a]);
      return world.observe(() => world.edit(a, { [labelPath]: "another" }));
    },
  },
  {
    number: 22,
    name: "our label removed from an object that cannot be healed: the label is put back, the rest is told",
    isRealOnly: true,
    expected: {
      reported: [`label removed, seen ${unknown}`],
      restored: false,
      writes: { "patch configmaps": 2, "update configmaps": 1 },
    },
    async run(world) {
      const a = settings(world, { level: "info" });
      await world.deploy([a]);
      const observed = await world.observe(() =>
        world.edit(a, { "metadata.labels": {}, "data.level": "debug", immutable: true }),
      );
      assert.deepEqual((await world.get(a)).metadata.labels, world.label);
      return observed;
    },
  },
  ...(["correct", "report"] as const).map((drift): DriftCase => ({
    number: 22,
    name: `made anew by hand without our label (kubectl replace --force), ${drift}: another object, and no longer out of sight`,
    expected: {
      reported: [
        drift === "correct"
          ? `replaced, healed: data.level, ${labelPath} by kubectl-edit`
          : "replaced, seen: data.level by kubectl-edit",
      ],
      restored: drift === "correct",
      writes: drift === "correct" ? { "patch configmaps": 1 } : { "update configmaps": 1, "dry-run configmaps": 1 },
    },
    async run(world) {
      const a = settings(world, { level: "info" });
      await world.deploy([a], { drift });
      const observed = await world.observeOffline(async () => {
        await world.delete(a);
        await world.person.create(settings(world, { level: "debug" }));
      });
      assert.deepEqual((await world.get(a)).metadata.labels, world.label);
      return observed;
    },
  })),
  {
    number: 23,
    name: "our label on a foreign object",
    expected: silence,
    async run(world) {
      await world.deploy([settings(world, { level: "info" })]);
      const foreign = settings(world, {}, "foreign");
      foreign.metadata.labels = world.label;
      const observed = await world.observe(() => world.person.create(foreign));
      await world.deploy([settings(world, { level: "debug" })]);
      await world.get(foreign);
      return observed;
    },
  },
  {
    number: 31,
    name: "changed and deleted while the agent was down",
    expected: {
      reported: ["changed, healed: data.level by kubectl-edit", `deleted, healed ${unknown}`],
      restored: true,
      writes: { "patch configmaps": 2 },
    },
    async run(world) {
      const [a, b] = [settings(world, { level: "info" }), settings(world, {}, "b")];
      await world.deploy([a, b]);
      const observed = await world.observeOffline(async () => {
        await world.edit(a, { "data.level": "debug" });
        await world.delete(b);
      });
      // Two objects are healed side by side: neither comes first by rule.
      return { ...observed, reported: observed.reported.toSorted() };
    },
  },
  {
    number: 33,
    name: "another uid after a restore of the same content",
    // Whoever creates owns every field: one silent apply takes them back.
    expected: { ...silence, writes: { "patch configmaps": 1 } },
    async run(world) {
      const a = settings(world, { level: "info" });
      await world.deploy([a]);
      const observed = await world.observeOffline(async () => {
        const { metadata, ...rest } = await world.get(a);
        const { name, namespace, labels, managedFields } = metadata;
        await world.delete(a);
        const restored = { ...rest, metadata: { name, namespace, labels, managedFields } } as unknown as KubeObject;
        const made = await (await world.backend.as("velero")).create(restored);
        assert.notEqual(made.metadata.uid, metadata.uid);
      });
      // It is ours as before: what leaves Git goes.
      await world.deploy([]);
      assert.equal(await world.person.get(world.address(a)), undefined);
      return observed;
    },
  },
];
