import { describe, expect, test } from "vitest";
import { DriftState } from "#proto/gen/plumbline/agent/v1/agent.ts";
import type { World } from "#test/drift-cases/world.ts";
import { settings } from "./apply/objects.ts";
import { worldsOn } from "./apply/worlds.ts";

const secondMs = 1_000;

// Rule R6: who sets a field back again and again is let win for a while, at growing distances, and is told.
describe.each(["simulated", "real"])("a fight on the %s API server", (which) => {
  const open = worldsOn(which, "fight");
  const a = (world: World) => settings(world, "a", { level: "info", colour: "red" });
  const take = (world: World): Promise<void> => world.take(world.documents.run("shop", [a(world)]));
  const level = (world: World) => world.value(a(world), "data.level");
  const states = (world: World): DriftState[] => world.drifts().map(({ state }) => state);
  const healedOf = (world: World): number => states(world).filter((state) => state === DriftState.HEALED).length;

  /** Another tool sets the field back, and what comes of it is waited for: a heal, or the word that there is none. */
  async function meddle(world: World, field = "data.level"): Promise<void> {
    const before = world.drifts().length;
    await world.edit(a(world), { [field]: `other ${before}` }, "operator");
    await world.until(() => world.drifts().length > before);
    await world.engine.settled();
  }

  test("the third heal of a field in two minutes is told as contested; then healing waits from 2 s to 5 min", async () => {
    await using world = await open();
    await take(world);
    await meddle(world);
    await meddle(world);
    await meddle(world);
    expect(states(world)).toEqual([DriftState.HEALED, DriftState.HEALED, DriftState.CONTESTED]);
    const [contested] = world.drifts().slice(-1);
    expect(contested).toMatchObject({ heals: 3, reason: "data.level was healed 3 times" });
    expect(Number(contested!.nextHealAtMs) - world.clock.now()).toBe(2 * secondMs);
    expect(await level(world)).toBe("info");

    const writes = async (): Promise<number> => (await world.requests())["patch configmaps"] ?? 0;
    for (const waitMs of [2, 4, 8, 16, 32, 64, 128, 256, 300, 300].map((seconds) => seconds * secondMs)) {
      const before = await writes();
      await world.edit(a(world), { "data.level": `waits ${waitMs}` }, "operator");
      const there = await world.get(a(world));
      await world.until(() => world.hasJudged(there));
      await world.engine.settled();
      await world.clock.advance(waitMs - 1);
      await world.engine.settled();
      expect([await level(world), await writes()]).toEqual([`waits ${waitMs}`, before]);
      await world.clock.advance(1);
      await world.until(async () => (await level(world)) === "info");
      await world.engine.settled();
      expect(await writes()).toBe(before + 1);
    }
    expect(world.drifts().at(-1)).toMatchObject({ state: DriftState.CONTESTED, heals: 13 });
  });

  test("a quiet time ends it: the next edit is healed at once, and told as healed", async () => {
    await using world = await open();
    await take(world);
    for (let n = 0; n < 3; n += 1) await meddle(world);
    expect(states(world).at(-1)).toBe(DriftState.CONTESTED);
    await world.clock.advance(121 * secondMs);
    await world.engine.settled();
    await meddle(world);
    expect(states(world).at(-1)).toBe(DriftState.HEALED);
    expect(await level(world)).toBe("info");
  });

  test("an exception that ends in the middle of a fight is over when the fight is: its field is Git's again", async () => {
    await using world = await open();
    const exception = {
      object: `ConfigMap ${world.namespace}/a`,
      fields: ["data.colour"],
      untilMs: world.clock.now() + 60 * secondMs,
      reason: "an incident",
    };
    await world.take(world.documents.run("shop", [a(world)], { exceptions: [exception] }));
    await meddle(world, "data.colour");
    for (let n = 0; n < 3; n += 1) await meddle(world);
    expect(states(world)).toContain(DriftState.CONTESTED);
    await world.clock.advance(61 * secondMs);
    await world.engine.settled();
    expect(await world.value(a(world), "data.colour")).not.toBe("red");
    await world.clock.advance(120 * secondMs);
    await world.engine.settled();
    expect([await level(world), await world.value(a(world), "data.colour")]).toEqual(["info", "red"]);
  });

  test("edits of several fields, or of one at long distances, are no fight", async () => {
    await using world = await open();
    await take(world);
    for (const field of ["data.level", "data.colour", "data.level", "data.colour"]) await meddle(world, field);
    expect(healedOf(world)).toBe(4);
    await world.clock.advance(60 * secondMs);
    for (let n = 0; n < 4; n += 1) {
      await world.clock.advance(61 * secondMs);
      await meddle(world);
    }
    expect(states(world)).not.toContain(DriftState.CONTESTED);
    expect(healedOf(world)).toBe(8);
  });

  test("what is deleted again and again is a fight as well", async () => {
    await using world = await open();
    await take(world);
    for (let n = 0; n < 3; n += 1) {
      const before = world.drifts().length;
      await world.delete(a(world));
      await world.until(() => world.drifts().length > before);
      await world.engine.settled();
    }
    expect(states(world)).toEqual([DriftState.HEALED, DriftState.HEALED, DriftState.CONTESTED]);
    expect(world.drifts().at(-1)?.reason).toBe("it was made again 3 times");
  });
});
