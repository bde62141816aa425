import type { Json, JsonObject } from "#proto/object.ts";
import { builtInSchema } from "./built-in-schema.ts";
import { byKeys, byValue, whole, type ListMerge, type Schema } from "./schema.ts";

const metadata = builtInSchema("").member("metadata");

/** How objects of a custom kind merge, by the schema in its definition; what that leaves out follows the value. */
export function customSchema(openApi: JsonObject | undefined): Schema {
  const root = node(openApi);
  return { ...root, member: (name) => (name === "metadata" ? metadata : root.member(name)) };
}

function node(said: JsonObject | undefined): Schema {
  const properties = objectOf(said?.["properties"]);
  const additional = said?.["additionalProperties"];
  return {
    isAtomic: said?.["x-kubernetes-map-type"] === "atomic",
    list: listOf(said),
    member: (name) =>
      name === "" ? node(objectOf(said?.["items"])) : node(objectOf(properties?.[name] ?? additional)),
    names: (name) => properties !== undefined && Object.hasOwn(properties, name),
  };
}

function listOf(said: JsonObject | undefined): ListMerge {
  switch (said?.["x-kubernetes-list-type"]) {
    case "set":
      return byValue;
    case "map": {
      const keys = said["x-kubernetes-list-map-keys"] as string[];
      const items = objectOf(objectOf(said["items"])?.["properties"]) ?? {};
      const defaults = keys.flatMap((key): [string, Json][] => {
        const value = objectOf(items[key])?.["default"];
        return value === undefined ? [] : [[key, value]];
      });
      return byKeys(keys, Object.fromEntries(defaults));
    }
    default:
      return whole;
  }
}

const objectOf = (value: Json | undefined): JsonObject | undefined =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
