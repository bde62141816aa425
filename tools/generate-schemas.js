// Writes docs/schemas/<kind>.json from the schemas that the hub checks fleet documents with. A unit test compares them.
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fleetSchemas } from "../hub/fleet/schemas.ts";
import { root } from "./gate.js";

const folder = join(root, "docs/schemas");
mkdirSync(folder, { recursive: true });
for (const [kind, schema] of fleetSchemas())
  writeFileSync(join(folder, `${kind}.json`), `${JSON.stringify(schema, null, 2)}\n`);
process.exitCode = spawnSync("oxfmt", [folder], { stdio: "inherit" }).status ?? 1;
