import { expect, test } from "vitest";
import { ApplicationPhase } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { many } from "#test/apply/many.ts";
import { statusOf } from "#test/apply/objects.ts";
import { backendOn } from "#test/drift-cases/backend.ts";
import { World } from "#test/drift-cases/world.ts";
import { openSharedControlPlane } from "#test/harness/shared-control-plane.ts";

test("5,000 objects are one Application of a real API server: applied once each, changed once each, pruned within consent", async () => {
  await using plane = await openSharedControlPlane();
  await using backend = backendOn(plane);
  await using world = await World.open(backend, "scale-long");
  const objects = many(world, 4_999, 60);
  await world.take(world.documents.run("shop", [world.ownNamespace, ...objects]));
  expect(statusOf(world)).toMatchObject({ phase: ApplicationPhase.APPLIED, objects: 5_000, current: 5_000 });
  expect((await world.requests())["patch configmaps"]).toBe(4_999);

  await world.take(world.documents.run("shop", [world.ownNamespace, ...many(world, 4_999, 60, "2")]));
  expect(statusOf(world)).toMatchObject({ phase: ApplicationPhase.APPLIED, current: 5_000 });
  expect((await world.requests())["patch configmaps"]).toBe(2 * 4_999);

  await world.stop();
  await world.start();
  await world.engine.settled();
  expect(statusOf(world)).toMatchObject({ objects: 5_000, current: 5_000 });
  expect((await world.requests())["patch configmaps"]).toBe(2 * 4_999);

  // 4,900 at once are over budget, and over what an agent deletes in an hour when they are allowed.
  const few = [world.ownNamespace, ...many(world, 99, 60, "2")];
  await world.take(world.documents.run("shop", few));
  const [blocked] = world.events("pruned") as { blocked: string; planHash: string }[];
  expect(blocked!.blocked).toContain("4900 of 5000 objects would be deleted");
  await world.take(world.documents.run("shop", few, { allowPrune: blocked!.planHash }));
  expect(statusOf(world).reason).toContain("the agent's limit of deletions an hour is reached");
  expect(statusOf(world).objects).toBe(4_500);
});
