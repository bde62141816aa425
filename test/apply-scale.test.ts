import { expect, test } from "vitest";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { ApplicationPhase, Health } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { backendOn, simulatedBackend } from "#test/drift-cases/backend.ts";
import { World } from "#test/drift-cases/world.ts";
import { many, weighing } from "./apply/many.ts";
import { give, settings, statusOf } from "./apply/objects.ts";
import { openSharedControlPlane } from "#test/harness/shared-control-plane.ts";
import type { KubeObject } from "#proto/object.ts";

/** What an API server takes for one Secret. */
const secretLimit = 1024 * 1024;

test("5,000 objects with the longest names are one Application; its memory fits Secrets, and a restart finds all of it", async () => {
  await using backend = simulatedBackend();
  await using world = await World.open(backend, "scale");
  const sizes = new Map<string, number>();
  await world.stop();
  let [inFlight, most] = [0, 0];
  world.wrapAgent((cluster) => ({
    ...weighing(cluster, sizes),
    async apply(...asked: Parameters<Cluster["apply"]>) {
      most = Math.max(most, (inFlight += 1));
      return cluster.apply(...asked).finally(() => (inFlight -= 1));
    },
  }));
  await world.start();
  const objects = many(world, 4_999, 253);
  await world.take(world.documents.run("shop", [world.ownNamespace, ...objects]));
  expect(statusOf(world)).toMatchObject({ phase: ApplicationPhase.APPLIED, objects: 5_000, current: 5_000 });
  // All of them changed: every entry is pending once more, beside what is known of it.
  const changed = many(world, 4_999, 253, "2");
  await world.take(world.documents.run("shop", [world.ownNamespace, ...changed]));
  expect(statusOf(world)).toMatchObject({ phase: ApplicationPhase.APPLIED, current: 5_000 });
  expect(Math.max(...sizes.values())).toBeLessThanOrEqual(secretLimit);
  // However many objects there are, a piece of the inventory stays well below that.
  const chunks = [...sizes].filter(([name]) => name.startsWith("plumbline-inventory-"));
  expect(chunks.length).toBeGreaterThan(2);
  expect(Math.max(...chunks.map(([, size]) => size))).toBeLessThanOrEqual(secretLimit / 2);

  // Each is written once for each revision, and so many at once as one API server takes best.
  const before = await world.requests();
  expect(before["patch configmaps"]).toBe(2 * 4_999);
  expect(most).toBe(8);
  await world.stop();
  await world.start();
  await world.engine.settled();
  expect(statusOf(world)).toMatchObject({ objects: 5_000, current: 5_000 });
  const after = await world.requests();
  expect([after["patch configmaps"], after["dry-run configmaps"]]).toEqual([before["patch configmaps"], undefined]);
});

test.each(["simulated", "real"])(
  "200 Applications are one cluster's on the %s API server, each told by itself, and one that is stuck holds up none",
  async (which) => {
    await using plane = which === "real" ? await openSharedControlPlane() : undefined;
    await using backend = plane === undefined ? simulatedBackend() : backendOn(plane);
    await using world = await World.open(backend, `many-${which}`);
    await world.person.create(world.ownNamespace);
    // As many as are applied at once, and more, wait for a namespace that nobody makes.
    const stuck = Array.from({ length: 8 }, (_, n) => `a-stuck-${n}`);
    const homeless = (name: string): KubeObject => {
      const object = settings(world, name);
      return { ...object, metadata: { ...object.metadata, namespace: `${world.namespace}-later` } };
    };
    // Virtual time passes quickly here.
    const patient = { timeoutMs: 2 ** 31 };
    const names = Array.from({ length: 200 - stuck.length }, (_, n) => `app-${n}`);
    give(
      world,
      ...stuck.map((name) => world.documents.run(name, [homeless(name)], patient)),
      ...names.map((name) =>
        world.documents.run(
          name,
          [1, 2, 3, 4, 5].map((n) => settings(world, `${name}-${n}`)),
        ),
      ),
    );
    await world.until(async () => {
      await world.clock.advance(100);
      return names.every((name) => isApplied(world, name));
    });
    await world.until(() => world.events("receipt").length === names.length);
    const statuses = world.engine.statuses();
    expect(statuses).toHaveLength(200);
    for (const status of statuses.filter(({ application }) => names.includes(application)))
      expect(status).toMatchObject({ health: Health.CURRENT, objects: 5, current: 5 });
    // Between two tries; while it is being tried there is no next one.
    await world.until(() => (statusOf(world, "a-stuck-0").problems[0]?.nextTryAtMs ?? 0n) > 0n);
    expect(statusOf(world, "a-stuck-0")).toMatchObject({
      phase: ApplicationPhase.APPLYING,
      problems: [{ reason: "NotFound", final: false }],
    });
  },
);

const isApplied = (world: World, name: string): boolean =>
  world.engine.statuses().some(({ application, phase }) => application === name && phase === ApplicationPhase.APPLIED);
