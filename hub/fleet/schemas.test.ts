import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { fleetSchemas } from "#hub/fleet/schemas.ts";

const folder = new URL("../../docs/schemas/", import.meta.url);

test("editors get the schemas that the hub checks with: run `node tools/generate-schemas.js` when this fails", () => {
  const schemas = fleetSchemas();
  expect(readdirSync(folder).sort()).toEqual([...schemas.keys()].map((kind) => `${kind}.json`).sort());
  for (const [kind, schema] of schemas)
    expect(JSON.parse(readFileSync(new URL(`${kind}.json`, folder), "utf8")), kind).toEqual(
      JSON.parse(JSON.stringify(schema)),
    );
});
