import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { realBackend, simulatedBackend, type Backend } from "#test/drift-cases/backend.ts";
import { complaintOf } from "#test/drift-cases/case.ts";
import { driftCases } from "#test/drift-cases/table.ts";
import { World } from "#test/drift-cases/world.ts";

describe("on a real API server", () => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await realBackend({ controllerManager: true });
  });
  afterAll(async () => {
    await backend[Symbol.asyncDispose]();
  });

  test.each(driftCases.map((one, index) => ({ ...one, index })))("$number: $name", async (one) => {
    await using world = await World.open(backend, `${one.number}-${one.index}`);
    expect(complaintOf(one, await one.run(world))).toBeUndefined();
  });
});

describe("on the simulated cluster", () => {
  test.each(driftCases.filter(({ isRealOnly }) => isRealOnly !== true))("$number: $name", async (one) => {
    await using backend = simulatedBackend();
    await using world = await World.open(backend, String(one.number));
    expect(complaintOf(one, await one.run(world))).toBeUndefined();
  });
});
