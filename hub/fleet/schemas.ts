import { z } from "zod";
import { kinds } from "./kinds/kinds.ts";

/** JSON Schema (draft 2020-12) of each kind as people write it, for editors. Keyed by kind in lower case. */
export function fleetSchemas(): ReadonlyMap<string, object> {
  return new Map(
    Object.entries(kinds).map(([kind, schema]) => [
      kind.toLowerCase(),
      { title: `Plumbline ${kind}`, ...z.toJSONSchema(schema, { io: "input", target: "draft-2020-12" }) },
    ]),
  );
}
