import { strict as assert } from "node:assert";
import type { Cluster } from "#agent/cluster/cluster.ts";
import type { DriftException } from "#proto/desired-state.ts";
import { ApplicationPhase, Health } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { silence, type DriftCase } from "./case.ts";
import { deployment, service, settings } from "./objects.ts";
import { takenUp } from "./taken-up.ts";
import type { World } from "./world.ts";

const until = (world: World, ms: number): DriftException => ({
  object: `ConfigMap ${world.namespace}/a`,
  fields: ["data.level"],
  untilMs: world.clock.now() + ms,
  reason: "an incident",
});
const both = (world: World) => settings(world, { level: "info", other: "x" });
const edited = { "data.level": "debug", "data.other": "y" };
const held = ["changed, healed: data.other by kubectl-edit", "changed, seen: data.level by kubectl-edit"];
const afterwards = "changed, healed: data.level by kubectl-edit";

/** What an Application's own policy makes of drift, and what Git changes. */
export const policyCases: readonly DriftCase[] = [
  {
    number: 2,
    name: "a foreign field in a strict Application is taken away",
    expected: {
      reported: ["changed, healed: data.extra by kubectl-edit"],
      restored: true,
      writes: { "update configmaps": 1, "patch configmaps": 1 },
    },
    async run(world) {
      const a = settings(world, { level: "info" });
      await world.deploy([a], { strict: true });
      return world.observe(() => world.edit(a, { "data.extra": "x" }));
    },
  },
  {
    number: 2,
    name: "what is written while a strict Application takes a foreign field away is not written over",
    expected: { reported: ["changed, healed: data.extra by kubectl-edit"], restored: false, writes: undefined },
    async run(world) {
      const a = settings(world, { level: "info" });
      await world.deploy([a], { strict: true });
      await world.stop();
      let isWritten = false;
      world.wrapAgent((cluster) => ({
        async replace(...[object, signal]: Parameters<Cluster["replace"]>) {
          if (object.kind === a.kind && !isWritten) {
            isWritten = true;
            await world.edit(a, { "metadata.finalizers": ["example.com/keep"] }, "an-operator");
          }
          return cluster.replace(object, signal);
        },
      }));
      await world.start();
      await world.caughtUp();
      const observed = await world.observe(() => world.edit(a, { "data.extra": "x" }));
      assert.deepEqual((await world.get(a)).metadata["finalizers"], ["example.com/keep"]);
      assert.deepEqual((await world.get(a))["data"], { level: "info" });
      await world.edit(a, { "metadata.finalizers": [] });
      // Met by that write once, and said.
      return { ...observed, reported: observed.reported.filter((line) => !line.startsWith("changed, seen")) };
    },
  },
  {
    number: 2,
    name: "a foreign field is told once, however often the object changes",
    expected: {
      reported: ["foreign fields: metadata.annotations.note by kubectl-edit"],
      restored: false,
      writes: {},
    },
    async run(world) {
      const web = deployment(world);
      await world.deploy([web]);
      return world.observe(async () => {
        await world.edit(web, { "metadata.annotations": { note: "x" } });
        for (const note of ["y", "z"]) {
          await world.caughtUp();
          await world.edit(web, { "metadata.annotations.note": note });
        }
      });
    },
  },
  {
    number: 34,
    name: "a path removed in Git that another manager owns too",
    expected: {
      reported: ["foreign fields: data.gone by kubectl"],
      restored: false,
      writes: { "patch configmaps": 1 },
    },
    async run(world) {
      const a = settings(world, { level: "info", gone: "soon" });
      await world.deploy([a]);
      await (await world.backend.as("kubectl")).apply(settings(world, { gone: "soon" }));
      return world.observe(() => world.deploy([settings(world, { level: "debug" })]));
    },
  },
  {
    number: 35,
    name: "moved between two Applications in one document",
    expected: { ...silence, writes: { "patch configmaps": 1 } },
    async run(world) {
      const [a, b] = [settings(world, {}), settings(world, {}, "b")];
      // The namespace first: one Application does not wait for another's.
      await world.deploy([a, b]);
      await world.take(
        world.documents.run("shop", [world.ownNamespace, a, b]),
        world.documents.run("second", [service(world)]),
      );
      const { uid } = (await world.get(b)).metadata;
      const observed = await world.observe(() =>
        world.take(
          world.documents.run("shop", [world.ownNamespace, a]),
          world.documents.run("second", [service(world), b]),
        ),
      );
      assert.equal((await world.get(b)).metadata.uid, uid);
      assert.deepEqual(world.events("pruned"), []);
      return observed;
    },
  },
  {
    number: 36,
    name: "the same object in two Applications",
    expected: silence,
    async run(world) {
      const a = settings(world, { level: "info" });
      await world.deploy([a]);
      const first = world.documents.run("shop", [world.ownNamespace, a]);
      const observed = await world.observe(() => world.take(first, world.documents.run("a-second", [a])));
      const second = world.engine.statuses().find(({ application }) => application === "a-second");
      assert.equal(second?.phase, ApplicationPhase.BLOCKED);
      assert.match(second?.reason ?? "", /ConfigMap .*\/a is also in shop/);
      // Whatever their names, the one that owns it is the one that goes on.
      const owner = world.engine.statuses().find(({ application }) => application === "shop");
      assert.equal(owner?.phase, ApplicationPhase.APPLIED);
      return observed;
    },
  },
  {
    number: 37,
    name: "report mode: a change is told, and asked about once",
    expected: {
      reported: ["changed, seen: data.level by kubectl-edit"],
      restored: false,
      writes: { "dry-run configmaps": 1 },
    },
    async run(world) {
      const a = settings(world, { level: "info" });
      await world.deploy([a], { drift: "report" });
      return world.observe(() => world.edit(a, { "data.level": "debug" }));
    },
  },
  {
    number: 37,
    name: "report mode: a deletion is told",
    expected: { reported: ["deleted, seen by unknown (admission or a forged entry)"], restored: false, writes: {} },
    async run(world) {
      const a = settings(world, { level: "info" });
      await world.deploy([a], { drift: "report" });
      const observed = await world.observe(() => world.delete(a));
      // Nobody makes it again, and nobody says that all is well.
      assert.equal(world.engine.statuses()[0]?.health, Health.NOT_FOUND);
      return observed;
    },
  },
  {
    number: 37,
    name: "report mode: the label is put back",
    expected: {
      reported: [
        'label removed, healed: metadata.labels["plumbline.dev/agent"] by unknown (admission or a forged entry)',
      ],
      restored: true,
      writes: undefined,
    },
    async run(world) {
      const a = settings(world, { level: "info" });
      await world.deploy([a], { drift: "report" });
      const observed = await world.observe(() => world.edit(a, { "metadata.labels": {} }));
      assert.equal(observed.writes["update configmaps"], 1);
      assert.equal(observed.writes["patch configmaps"], undefined);
      return observed;
    },
  },
  {
    number: 37,
    name: "report mode, strict: a foreign field is told, and nobody is asked about it",
    expected: { reported: ["foreign fields: data.extra by kubectl-edit"], restored: false, writes: {} },
    async run(world) {
      const a = settings(world, { level: "info" });
      await world.deploy([a], { drift: "report", strict: true });
      return world.observe(() => world.edit(a, { "data.extra": "x" }));
    },
  },
  {
    number: 37,
    name: "report mode ends: what was told is healed",
    expected: { reported: [afterwards], restored: false, writes: { "patch configmaps": 1 } },
    async run(world) {
      const a = settings(world, { level: "info" });
      await world.deploy([a], { drift: "report" });
      await world.edit(a, { "data.level": "debug" });
      await world.caughtUp();
      return world.observe(() => world.deploy([a]));
    },
  },
  {
    number: 38,
    name: "an exception holds its field, and nothing else of the object",
    expected: { reported: held, restored: false, writes: { "dry-run configmaps": 1, "patch configmaps": 1 } },
    async run(world) {
      const a = both(world);
      await world.deploy([a], { exceptions: [until(world, 3_600_000)] });
      return world.observe(() => world.edit(a, edited));
    },
  },
  {
    number: 38,
    name: "an exception ends by itself",
    expected: {
      reported: [...held, afterwards],
      restored: true,
      writes: { "dry-run configmaps": 2, "patch configmaps": 2 },
    },
    async run(world) {
      const a = both(world);
      await world.deploy([a], { exceptions: [until(world, 5_000)] });
      return world.observe(() => world.edit(a, edited));
    },
  },
  {
    number: 38,
    name: "an exception ends while the agent is down",
    expected: {
      reported: [...held, afterwards],
      restored: true,
      writes: { "dry-run configmaps": 2, "patch configmaps": 2 },
    },
    async run(world) {
      const a = both(world);
      await world.deploy([a], { exceptions: [until(world, 5_000)] });
      return world.observe(async () => {
        await world.edit(a, edited);
        await world.caughtUp();
        await world.stop();
        await world.clock.advance(10_000);
        await world.start();
      });
    },
  },
  {
    number: 38,
    name: "a change of Git leaves an excepted field alone",
    expected: { reported: [], restored: false, writes: undefined },
    async run(world) {
      const exceptions = [until(world, 3_600_000)];
      const a = settings(world, { level: "info" });
      await world.deploy([a], { exceptions });
      await world.edit(a, { "data.level": "debug" });
      await world.caughtUp();
      const observed = await world.observe(() => world.deploy([both(world)], { exceptions }));
      assert.deepEqual((await world.get(a))["data"], { level: "debug", other: "x" });
      return observed;
    },
  },
  {
    number: 39,
    name: "an immutable field changed in Git",
    expected: { ...silence, writes: { "patch deployments": 1 } },
    async run(world) {
      await world.deploy([deployment(world)]);
      // What is written to an object after it was refused may be what helps: it is tried once more.
      await takenUp(world, deployment(world));
      const labels = { app: "web", tier: "x" };
      const other = deployment(world, { selector: { matchLabels: labels } });
      (other["spec"] as { template: { metadata: object } }).template.metadata = { labels };
      const observed = await world.observe(() => world.deploy([other]));
      const [problem] = world.events("problem") as { object: { name: string }; message: string; final: boolean }[];
      assert.equal(problem?.object.name, "web");
      assert.equal(problem?.final, true);
      assert.match(problem?.message ?? "", /immutable/);
      return observed;
    },
  },
  {
    number: 39,
    name: "made anew by hand with another immutable field: refused, and why is said",
    expected: {
      reported: ["replaced, seen by unknown (admission or a forged entry)"],
      restored: false,
      writes: { "patch deployments": 1 },
    },
    async run(world) {
      const web = deployment(world);
      await world.deploy([web]);
      const labels = { app: "web", tier: "x" };
      const other = deployment(world, { selector: { matchLabels: labels } });
      (other["spec"] as { template: { metadata: object } }).template.metadata = { labels };
      other.metadata.labels = world.label;
      const observed = await world.observeOffline(async () => {
        await world.delete(web);
        await world.person.create(other);
        // Its controller numbers it once: for an agent that saw it before, that is another object to ask about.
        const isNumbered = async (): Promise<boolean> =>
          (await world.get(other)).metadata.annotations?.["deployment.kubernetes.io/revision"] !== undefined;
        if (world.backend.plane !== undefined) await world.until(isNumbered);
      });
      assert.match(world.drifts().at(-1)?.reason ?? "", /could not be healed: .*immutable/);
      return observed;
    },
  },
];
