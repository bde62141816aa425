import { describe, expect, test } from "vitest";
import type { Delivery } from "#proto/desired-state.ts";
import { ApplicationPhase, DriftState } from "#proto/gen/plumbline/agent/v1/agent.ts";
import type { KubeObject } from "#proto/object.ts";
import type { World } from "#test/drift-cases/world.ts";
import { deployment, isThere, ready, settings, statusOf } from "./apply/objects.ts";
import { worldsOn } from "./apply/worlds.ts";

const minuteMs = 60_000;

// What is refused for good is sent again when the digest or the object is another, and by nothing else.
describe.each(["simulated", "real"])("what the %s API server refused for good", (which) => {
  const open = worldsOn(which, "refused");
  const run = (world: World, objects: KubeObject[], delivery: Partial<Delivery> = {}) =>
    world.documents.run("shop", objects, { timeoutMs: minuteMs, ...delivery });
  const level = (world: World, name: string) => world.value(settings(world, name), "data.level");
  const isApplied = (world: World): Promise<void> =>
    world.until(() => statusOf(world).phase === ApplicationPhase.APPLIED);

  test("is applied once somebody has deleted what stood in its way", async () => {
    await using world = await open();
    const fixed = (level: string): KubeObject => ({ ...settings(world, "fixed", { level }), immutable: true });
    await world.take(run(world, [fixed("1"), settings(world, "other")]));
    await world.take(run(world, [fixed("2"), settings(world, "other")]));
    expect(statusOf(world)).toMatchObject({ phase: ApplicationPhase.FAILED, problems: [{ final: true }] });
    await world.clock.advance(60 * minuteMs);
    await world.engine.settled();
    expect(await level(world, "fixed")).toBe("1");

    await world.delete(fixed("1"));
    await isApplied(world);
    expect(await level(world, "fixed")).toBe("2");
    expect(world.drifts()).toEqual([]);
  });

  test("is tried again when the object is another, and not for its status", async () => {
    await using world = await open();
    const web = (app: string): KubeObject => {
      const object = deployment(world, "web");
      return { ...object, spec: { ...(object["spec"] as object), selector: { matchLabels: { app } } } };
    };
    await world.take(run(world, [web("web")]));
    const invalid = { ...web("web"), spec: { ...(web("web")["spec"] as object), replicas: -1 } };
    await world.take(run(world, [which === "real" ? invalid : web("other")]));
    expect(statusOf(world).phase).toBe(ApplicationPhase.FAILED);
    const sent = async (): Promise<number> => (await world.requests())["patch deployments"] ?? 0;
    const before = await sent();
    for (let at = 1; at <= 20; at += 1) {
      await world.backend.writeStatus(web("web"), { ...ready, observedGeneration: at });
      const there = await world.get(web("web"));
      await world.until(() => world.hasJudged(there));
    }
    await world.engine.settled();
    expect((await sent()) - before).toBeLessThanOrEqual(1);

    const again = await sent();
    await world.edit(web("web"), { "metadata.annotations.by": "hand" });
    await world.until(async () => (await sent()) > again);
    await world.engine.settled();
    expect((await sent()) - again).toBe(1);
  });

  test("an object of others is taken into the Application once it is gone or equal, at the next look", async () => {
    await using world = await open();
    const note = { note: "of both" };
    const ours = ["a", "b"].map((name) => settings(world, name, { level: "ours" }, note));
    for (const name of ["a", "b"]) await world.person.create(settings(world, name, { level: "theirs" }, note));
    await world.take(run(world, ours));
    expect(statusOf(world)).toMatchObject({ phase: ApplicationPhase.FAILED, problems: [{ final: true }, {}] });
    const before = await world.requests();
    await world.clock.advance(60 * minuteMs);
    await world.engine.settled();
    const after = await world.requests();
    expect(after["patch configmaps"]).toBe(before["patch configmaps"]);
    expect((after["get configmaps"] ?? 0) - (before["get configmaps"] ?? 0)).toBeLessThanOrEqual(24);

    await world.delete(settings(world, "a"));
    await world.edit(settings(world, "b"), { "data.level": "ours" });
    await world.until(async () => {
      await world.clock.advance(minuteMs);
      return statusOf(world).phase === ApplicationPhase.APPLIED;
    });
    for (const name of ["a", "b"]) expect(await level(world, name)).toBe("ours");
  });

  test("an edit that was told before is told again after a revision and its revert", async () => {
    await using world = await open();
    const of = (level: string) => run(world, [settings(world, "a", { level })], { drift: "report" });
    const seen = () => world.drifts().filter(({ state }) => state === DriftState.SEEN);
    await world.take(of("1"));
    await world.edit(settings(world, "a"), { "data.level": "by hand" });
    await world.until(() => seen().length === 1);
    await world.take(of("2"));
    await world.take(of("1"));
    expect(await level(world, "a")).toBe("1");
    await world.edit(settings(world, "a"), { "data.level": "by hand" });
    await world.until(() => seen().length === 2);
    expect(await isThere(world, settings(world, "a"))).toBe(true);
  });
});
