import { canonicalJson } from "#proto/json.ts";
import type { Json, JsonObject } from "#proto/object.ts";

/**
 * A set of field paths, as structured-merge-diff keeps one for each manager. A path is its elements in the notation of
 * `fieldsV1` (`f:` field, `k:` list item by keys, `v:` set member), so equal sets are equal strings.
 */
export type FieldSet = ReadonlySet<string>;

const separator = "\u0000";

export const pathOf = (parent: string, element: string): string =>
  parent === "" ? element : `${parent}${separator}${element}`;
export const elementsOf = (path: string): string[] => path.split(separator);

export const fieldElement = (name: string): string => `f:${name}`;
export const keyElement = (keys: JsonObject): string => `k:${canonicalJson(keys)}`;
export const valueElement = (value: Json): string => `v:${canonicalJson(value)}`;

export const isWithin = (path: string, root: string): boolean => path === root || path.startsWith(root + separator);

/** The set as Kubernetes writes it: a member that has members of its own says so by ".". */
export function toFieldsV1(set: FieldSet): JsonObject {
  const root: JsonObject = {};
  for (const path of [...set].sort()) {
    let node = root;
    for (const element of elementsOf(path)) node = (node[element] ??= {}) as JsonObject;
    node["."] = {};
  }
  return withoutLeafDots(root);
}

export function fromFieldsV1(fields: JsonObject): FieldSet {
  const found = new Set<string>();
  const collect = (node: JsonObject, parent: string): void => {
    for (const [element, inner] of Object.entries(node)) {
      if (element === ".") continue;
      const path = pathOf(parent, element);
      const members = Object.keys(inner as JsonObject);
      if (members.length === 0 || members.includes(".")) found.add(path);
      collect(inner as JsonObject, path);
    }
  };
  collect(fields, "");
  return found;
}

export const without = (set: FieldSet, roots: readonly string[]): FieldSet =>
  new Set([...set].filter((path) => !roots.some((root) => isWithin(path, root))));

export const isSameSet = (a: FieldSet, b: FieldSet): boolean => a.size === b.size && a.isSubsetOf(b);

// A leaf is written {}, never {".": {}}.
function withoutLeafDots(node: JsonObject): JsonObject {
  const members = Object.entries(node);
  if (members.length === 1 && members[0]?.[0] === ".") return {};
  return Object.fromEntries(
    members.map(([element, inner]) => [element, element === "." ? {} : withoutLeafDots(inner as JsonObject)]),
  );
}
