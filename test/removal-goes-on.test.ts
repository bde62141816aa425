import { afterAll, beforeAll, expect, test } from "vitest";
import { ApplicationPhase } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { simulatedBackend, type Backend } from "#test/drift-cases/backend.ts";
import { World } from "#test/drift-cases/world.ts";
import { many } from "./apply/many.ts";
import { finish, isThere, pod, settings, statusOf } from "./apply/objects.ts";

const minuteMs = 60_000;
/** Ten more than an agent deletes in an hour. */
const count = 510;

let backend: Backend;
let round = 0;
beforeAll(() => void (backend = simulatedBackend()));
afterAll(() => backend[Symbol.asyncDispose]());
async function open(): Promise<World> {
  const world = await World.open(backend, `goes-on-${(round += 1)}`);
  await world.person.create(world.ownNamespace);
  return world;
}
const run = (world: World, objects: Parameters<World["documents"]["run"]>[1]) =>
  world.documents.run("shop", objects, { prune: { enabled: true, budgetPercent: 100, protected: [] } });
async function left(world: World): Promise<number> {
  const kind = (await world.person.kindOf("v1", "ConfigMap"))!;
  return (await world.person.list(kind, { namespace: world.namespace })).items.length;
}
async function later(world: World, ms: number): Promise<void> {
  await world.clock.advance(ms);
  await world.engine.settled();
}

test("a Removal that the limit of deletions stopped goes on by itself when the hour is over, and says when", async () => {
  await using world = await open();
  await world.take(run(world, many(world, count, 10)));
  await world.take(world.documents.remove("shop", "delete"));
  expect(await left(world)).toBe(10);
  const goesOn = new Date(world.clock.now() + 60 * minuteMs).toISOString();
  expect(statusOf(world)).toMatchObject({ phase: ApplicationPhase.REMOVING });
  expect(statusOf(world).reason).toMatch(
    /limit of deletions an hour is reached: ConfigMap .* stay for now; it goes on at /,
  );
  expect(statusOf(world).reason).toContain(goesOn);
  await later(world, 60 * minuteMs - 1);
  expect(await left(world)).toBe(10);
  await later(world, 1);
  expect(await left(world)).toBe(0);
  expect(statusOf(world).phase).toBe(ApplicationPhase.REMOVED);
});

test("so does a prune, and a Removal that a newer document withdrew deletes nothing when its hour comes", async () => {
  await using world = await open();
  const kept = settings(world, "kept");
  await world.take(run(world, [kept, ...many(world, count, 10)]));
  await world.take(run(world, [kept]));
  expect(await left(world)).toBe(11);
  expect(statusOf(world)).toMatchObject({ phase: ApplicationPhase.APPLIED });
  expect(statusOf(world).reason).toContain("it goes on at");
  await later(world, 60 * minuteMs);
  expect(await left(world)).toBe(1);
  expect(statusOf(world)).toMatchObject({ phase: ApplicationPhase.APPLIED, reason: "" });

  const again = many(world, count, 10);
  await world.take(run(world, [kept, ...again]));
  await later(world, 60 * minuteMs);
  await world.take(world.documents.remove("shop", "delete"));
  expect(await left(world)).toBe(11);
  await world.take(run(world, [kept, ...again]));
  expect(await left(world)).toBe(count + 1);
  await later(world, 61 * minuteMs);
  expect(await left(world)).toBe(count + 1);
});

test("an object that is to be made anew waits for room as well", async () => {
  await using world = await open();
  const fixed = (level: string) => ({
    ...settings(world, "fixed", { level }, { "plumbline.dev/recreate": "allow" }),
    immutable: true,
  });
  const shop = (level: string) => world.documents.run("shop", [fixed(level)]);
  const bulk = world.documents.run("bulk", many(world, 500, 10));
  await world.take(shop("1"), bulk);
  await world.take(shop("1"), world.documents.remove("bulk", "delete"));
  expect(statusOf(world, "bulk").phase).toBe(ApplicationPhase.REMOVED);
  await world.take(shop("2"), world.documents.remove("bulk", "delete"));
  expect(statusOf(world)).toMatchObject({
    phase: ApplicationPhase.FAILED,
    reason: expect.stringContaining("it is made anew at ") as string,
  });
  await later(world, 60 * minuteMs - 1);
  expect(await world.value(fixed("1"), "data.level")).toBe("1");
  await later(world, 1);
  expect(await world.value(fixed("1"), "data.level")).toBe("2");
  expect(statusOf(world).phase).toBe(ApplicationPhase.APPLIED);
});

test("so does what a hook made: it stays while there is no room, which is said, and goes when the hour is over", async () => {
  await using world = await open();
  const once = { "helm.sh/hook": "pre-install", "helm.sh/hook-delete-policy": "hook-succeeded" };
  const script = settings(world, "script", {}, once);
  const shop = world.documents.run("shop", [script, settings(world, "a")]);
  const removal = world.documents.remove("bulk", "delete");
  await world.take(world.documents.run("bulk", many(world, 500, 10)));
  await world.take(removal);
  expect(statusOf(world, "bulk").phase).toBe(ApplicationPhase.REMOVED);
  world.engine.take(world.documents.sign(removal, shop), "");
  await world.until(() => statusOf(world).reason.includes("limit of deletions an hour is reached"));
  expect(await isThere(world, script)).toBe(true);
  for (let minute = 0; minute < 61; minute += 1) await later(world, minuteMs);
  await world.until(() => statusOf(world).phase === ApplicationPhase.APPLIED);
  expect(await isThere(world, script)).toBe(false);
});

test("a Removal whose delete hook was refused tries again by the clock, and goes on once it may be made", async () => {
  await using world = await open();
  const before = pod(world, "before", { "helm.sh/hook": "pre-delete" });
  const a = settings(world, "a");
  await world.take(run(world, [before, a]));
  const theirs = await world.person.create(pod(world, "before", {}));
  await world.take(world.documents.remove("shop", "delete"));
  expect(statusOf(world)).toMatchObject({
    phase: ApplicationPhase.FAILED,
    reason: expect.stringContaining("nothing more is deleted: the delete hook Pod") as string,
  });
  await later(world, 10 * minuteMs);
  expect((await world.get(before)).metadata.uid).toBe(theirs.metadata.uid);
  expect(await isThere(world, a)).toBe(true);

  await world.delete(before);
  await world.clock.advance(minuteMs);
  await world.until(() => isThere(world, before));
  expect(await isThere(world, a)).toBe(true);
  await finish(world, before, "succeeded");
  await world.until(() => statusOf(world).phase === ApplicationPhase.REMOVED);
  expect(await isThere(world, a)).toBe(false);
});
