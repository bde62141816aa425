import { strict as assert } from "node:assert";
import type { Cluster } from "#agent/cluster/cluster.ts";
import type { KubeObject } from "#proto/object.ts";
import { silence, type DriftCase } from "./case.ts";
import { deployment, settings } from "./objects.ts";
import { takenUp } from "./taken-up.ts";
import type { World } from "./world.ts";

/** Whatever happens to watches, servers and the agent itself. */
export const survivalCases: readonly DriftCase[] = [
  {
    number: 21,
    name: "the namespace deleted with everything in it",
    expected: { reported: [], restored: true, writes: undefined },
    async run(world) {
      const a = settings(world, { level: "info" });
      await world.deploy([a]);
      const observed = await world.observe(async () => {
        await world.delete(world.ownNamespace);
        await world.until(async () => {
          await world.clock.advance(1_000);
          const there = await world.person.get(world.address(a));
          const namespace = await world.person.get(world.address(world.ownNamespace));
          return (
            there !== undefined &&
            there.metadata.deletionTimestamp === undefined &&
            namespace?.metadata.deletionTimestamp === undefined
          );
        });
      });
      const told = observed.reported.filter((line) => line.startsWith("deleted, healed"));
      assert.equal(told.length, 2, `each object once: ${observed.reported.join("; ")}`);
      assert.ok(observed.reported.every((line) => line.startsWith("deleted, ")));
      return { ...observed, reported: [] };
    },
  },
  {
    number: 27,
    name: "a custom resource without merge markers: lists are wholes",
    isRealOnly: true,
    expected: {
      reported: ["changed, healed: spec.parts by kubectl-edit"],
      restored: true,
      writes: { "patch widgets": 1 },
    },
    async run(world) {
      const group = `${world.namespace}.example.com`;
      const definition = widgets(group, ["v1"]);
      const widget = {
        apiVersion: `${group}/v1`,
        kind: "Widget",
        metadata: { name: "w", namespace: world.namespace },
        spec: { parts: [{ name: "a", free: { x: 1 } }] },
      };
      await world.deploy([definition, widget]);
      return world.observe(() => world.edit(widget, { "spec.parts[0].free.x": 2 }));
    },
  },
  {
    number: 29,
    name: "status written over and over",
    expected: silence,
    async run(world) {
      const web = deployment(world);
      await world.deploy([web]);
      return world.observe(async () => {
        for (let round = 0; round < 100; round += 1)
          await world.backend.writeStatus(web, {
            conditions: [{ type: "Probed", status: "True", message: String(round) }],
          });
      });
    },
  },
  {
    number: 29,
    name: "whoever writes the status annotates the object too: its controller is nobody foreign",
    expected: { ...silence, restored: false },
    async run(world) {
      const web = deployment(world);
      await world.deploy([web]);
      const controller = world.backend.simulated === undefined ? "kube-controller-manager" : "kubelet";
      if (world.backend.simulated !== undefined) await world.backend.writeStatus(web, { replicas: 0 });
      await takenUp(world, web);
      return world.observe(() => world.edit(web, { "metadata.annotations.note": "by its controller" }, controller));
    },
  },
  {
    number: 29,
    name: "status written over and over while a difference is only told",
    expected: {
      reported: ["changed, seen: spec.replicas by kubectl-edit"],
      restored: false,
      writes: { "dry-run deployments": 1 },
    },
    async run(world) {
      const web = deployment(world, { replicas: 2 });
      await world.deploy([web], { drift: "report" });
      await takenUp(world, web);
      return world.observe(async () => {
        await world.edit(web, { "spec.paused": true, "spec.replicas": 3 });
        await world.caughtUp();
        for (let round = 0; round < 50; round += 1)
          await world.backend.writeStatus(web, {
            conditions: [{ type: "Probed", status: "True", message: String(round) }],
          });
      });
    },
  },
  {
    number: 29,
    name: "status written while a change is about to be healed: one heal, told once",
    expected: {
      reported: ["changed, healed: spec.replicas by kubectl-edit"],
      restored: true,
      writes: { "patch deployments": 1 },
    },
    async run(world) {
      const web = deployment(world, { replicas: 2 });
      await world.deploy([web]);
      // Before it heals replicas, the agent asks whether an autoscaler has them.
      await writingStatusAfter(world, web, "list", ([{ kind }]) => kind === "HorizontalPodAutoscaler");
      return world.observe(() => world.edit(web, { "spec.replicas": 5 }));
    },
  },
  {
    number: 29,
    name: "status written during the look at a difference that is only told: one look",
    expected: {
      reported: ["changed, seen: spec.replicas by kubectl-edit"],
      restored: false,
      writes: { "dry-run deployments": 1 },
    },
    async run(world) {
      const web = deployment(world, { replicas: 2 });
      await world.deploy([web], { drift: "report" });
      await writingStatusAfter(world, web, "apply", ([, options]) => options?.dryRun === true);
      return world.observe(() => world.edit(web, { "spec.replicas": 5 }));
    },
  },
  {
    number: 32,
    name: "ended between an apply and its result in the inventory",
    expected: { ...silence, writes: { "patch configmaps": 1, "patch namespaces": 1 } },
    async run(world) {
      const a = settings(world, { level: "info" });
      const run = world.documents.run("shop", [world.ownNamespace, a]);
      let isApplied = false;
      await world.stop();
      // From the first apply of a ConfigMap on the agent's memory takes no more: as if it had ended there.
      world.wrapAgent((cluster) => forgetful(cluster, world.agentNamespace, () => (isApplied = true)));
      await world.start();
      world.engine.take(world.documents.sign(run), "");
      await world.until(() => isApplied);
      world.follow([a]);
      return world.observe(async () => {
        await world.stop();
        world.wrapAgent(() => ({}));
        await world.start();
        await world.engine.settled();
        assert.equal(world.engine.statuses()[0]?.objects, 2);
      });
    },
  },
];

const widgets = (group: string, versions: readonly string[]): KubeObject => ({
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: `widgets.${group}` },
  spec: {
    group,
    scope: "Namespaced",
    names: { plural: "widgets", singular: "widget", kind: "Widget", listKind: "WidgetList" },
    versions: versions.map((name, index) => ({
      name,
      served: true,
      storage: index === 0,
      schema: {
        openAPIV3Schema: {
          type: "object",
          properties: { spec: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
        },
      },
    })),
  },
});

function forgetful(cluster: Cluster, memory: string, applied: () => void): Partial<Cluster> {
  let isOver = false;
  const refuse = <T>(object: KubeObject, write: () => Promise<T>): Promise<T> =>
    isOver && object.metadata.namespace === memory ? Promise.reject(new Error("the connection was lost")) : write();
  return {
    async apply(...[object, options]: Parameters<Cluster["apply"]>) {
      const answer = await cluster.apply(object, options);
      if (object.kind === "ConfigMap") {
        isOver = true;
        applied();
      }
      return answer;
    },
    create: (...[object, signal]: Parameters<Cluster["create"]>) =>
      refuse(object, () => cluster.create(object, signal)),
    replace: (...[object, signal]: Parameters<Cluster["replace"]>) =>
      refuse(object, () => cluster.replace(object, signal)),
  };
}

/** After another start the agent's first such call is answered only once it has been told of a new status. */
async function writingStatusAfter<Verb extends "list" | "apply">(
  world: World,
  object: KubeObject,
  verb: Verb,
  isMeant: (given: Parameters<Cluster[Verb]>) => boolean,
): Promise<void> {
  let isAwaited = false;
  const around = async (cluster: Cluster, given: Parameters<Cluster[Verb]>): Promise<unknown> => {
    const call = cluster[verb] as (...given: Parameters<Cluster[Verb]>) => Promise<unknown>;
    const answer = await call(...given);
    if (!isAwaited || !isMeant(given)) return answer;
    isAwaited = false;
    const conditions = [{ type: "Probed", status: "True", message: "meanwhile" }];
    await world.backend.writeStatus(object, { conditions });
    const there = await world.get(object);
    await world.until(() => world.hasJudged(there));
    return answer;
  };
  world.wrapAgent((cluster) => ({
    [verb]: (...given: Parameters<Cluster[Verb]>) => around(cluster, given),
  }));
  await takenUp(world, object);
  await world.stop();
  await world.start();
  await world.caughtUp();
  isAwaited = true;
}
