import { afterAll, beforeAll } from "vitest";
import { backendOn, simulatedBackend, type Backend } from "#test/drift-cases/backend.ts";
import { World } from "#test/drift-cases/world.ts";
import { openSharedControlPlane, type SharedControlPlane } from "#test/harness/shared-control-plane.ts";

/** For the tests of a `describe`: opens worlds on one "simulated" or "real" API server, each with its namespace made. */
export function worldsOn(which: string, prefix: string): () => Promise<World> {
  let plane: SharedControlPlane | undefined;
  let backend: Backend;
  let round = 0;
  beforeAll(async () => {
    plane = which === "real" ? await openSharedControlPlane() : undefined;
    backend = plane === undefined ? simulatedBackend() : backendOn(plane);
  });
  afterAll(async () => {
    await backend[Symbol.asyncDispose]();
    await plane?.[Symbol.asyncDispose]();
  });
  return async () => {
    const world = await World.open(backend, `${prefix}-${which}-${(round += 1)}`);
    // Hooks have to have a place before anything else is applied.
    await world.person.create(world.ownNamespace);
    return world;
  };
}
