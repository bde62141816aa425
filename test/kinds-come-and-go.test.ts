import { expect, test } from "vitest";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { KindUnavailable } from "#agent/cluster/errors.ts";
import { ApplicationPhase } from "#proto/gen/plumbline/agent/v1/agent.ts";
import type { KubeObject } from "#proto/object.ts";
import { simulatedBackend } from "#test/drift-cases/backend.ts";
import { World } from "#test/drift-cases/world.ts";
import { settings } from "./apply/objects.ts";
import { widgetsOf } from "./apply/widgets.ts";

const group = "parts.example.com";
const definition = widgetsOf(group);
const widget = ({ namespace }: World): KubeObject => ({
  apiVersion: `${group}/v1`,
  kind: "Widget",
  metadata: { name: "w", namespace },
  spec: { size: 1 },
});

test.each([
  ["whose server is away", () => Promise.reject(new KindUnavailable(`the server of ${group} does not answer`))],
  ["that is not served yet", () => Promise.resolve(undefined)],
])("a kind %s when the agent starts is watched later, and what happened meanwhile is healed", async (_, answer) => {
  await using backend = simulatedBackend();
  await using world = await World.open(backend, "away");
  await world.person.create(definition);
  await world.deploy([widget(world), settings(world, "a")]);
  await world.stop();
  let isAway = true;
  const unlessAway =
    <Asked extends "kindOf" | "servedKind">(cluster: Cluster, ask: Asked): Cluster[Asked] =>
    async (apiVersion, kind, signal) => {
      return isAway && kind === "Widget" ? answer() : cluster[ask](apiVersion, kind, signal);
    };
  world.wrapAgent((cluster) => ({
    kindOf: unlessAway(cluster, "kindOf"),
    servedKind: unlessAway(cluster, "servedKind"),
  }));
  await world.edit(widget(world), { "spec.size": 9 });
  await world.start();
  await world.clock.advance(600_000);
  await world.engine.settled();
  expect(world.events("drift")).toEqual([]);
  isAway = false;
  await world.clock.advance(60_000);
  await world.until(async () => (await world.value(widget(world), "spec.size")) === 1);
  // Watched from then on.
  await world.edit(widget(world), { "spec.size": 7 });
  await world.until(async () => (await world.value(widget(world), "spec.size")) === 1);
});

test("a definition deleted by hand has taken its objects with it: what Git drops of them holds up nothing", async () => {
  await using backend = simulatedBackend();
  await using world = await World.open(backend, "undefined");
  await world.person.create(definition);
  await world.deploy([widget(world), settings(world, "a")]);
  const { uid = "" } = (await world.get(definition)).metadata;
  await world.person.delete(world.address(definition), { uid });
  await world.deploy([settings(world, "a")]);
  expect(world.engine.statuses()).toMatchObject([{ phase: ApplicationPhase.APPLIED, objects: 2 }]);
  await world.take(world.documents.remove("shop", "delete"));
  expect(await world.person.get(world.address(settings(world, "a")))).toBeUndefined();
});

test("a definition that serves none of its versions for now has its objects still: what Git drops of them is deleted once they are served", async () => {
  await using backend = simulatedBackend();
  await using world = await World.open(backend, "unserved");
  await world.person.create(definition);
  await world.deploy([widget(world), settings(world, "a")]);
  await world.edit(definition, { "spec.versions[0].served": false });
  world.engine.take(world.documents.sign(world.documents.run("shop", [world.ownNamespace, settings(world, "a")])), "");
  await world.until(() => world.engine.statuses()[0]?.phase === ApplicationPhase.FAILED);
  expect(world.engine.statuses()[0]?.reason).toContain(`the API server does not serve ${group}/v1 Widget now`);
  await world.edit(definition, { "spec.versions[0].served": true });
  expect(await world.person.get(world.address(widget(world)))).toBeDefined();
  await world.clock.advance(60_000);
  await world.until(async () => (await world.person.get(world.address(widget(world)))) === undefined);
  await world.engine.settled();
  expect(world.engine.statuses()).toMatchObject([{ phase: ApplicationPhase.APPLIED, objects: 2 }]);
});
