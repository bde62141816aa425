import { canonicalJson, parseJson } from "#proto/json.ts";
import type { Json, JsonObject, KubeObject } from "#proto/object.ts";

/**
 * One value that differs between two states of an object. `owner`: what a field set says of its path: itself, something
 * around it (an atomic value, or an empty one that others filled), or nothing.
 */
export type Change = {
  readonly path: string;
  readonly from: Json | undefined;
  readonly to: Json | undefined;
  readonly owner: "itself" | "around" | "nobody";
};

type Node = Json | undefined;
type Fields = JsonObject | undefined;

const ownMetadata = new Set(["labels", "annotations", "finalizers", "ownerReferences"]);

/**
 * Every difference of content, read from the objects and their field sets alone: nothing here is the agent's code.
 * `fields` says which lists go by keys or by members.
 */
export function changesBetween(from: KubeObject, to: KubeObject, fields: JsonObject, own: JsonObject): Change[] {
  const found: Change[] = [];
  const walk = (a: Node, b: Node, shape: Fields, mine: Fields, path: string, isWithinOwn: boolean): void => {
    if (a === b || (a !== undefined && b !== undefined && canonicalJson(a) === canonicalJson(b))) return;
    const isLeafOfMine = mine !== undefined && childKeys(mine).length === 0;
    const children = childKeys(shape ?? {});
    if (children.length === 0 || !areContainers(a, b)) {
      const owner = isLeafOfMine ? "itself" : isWithinOwn ? "around" : "nobody";
      // An object that came or went whole, of which we own only something inside.
      const isPartlyMine = owner === "nobody" && mine !== undefined;
      found.push({ path, from: a, to: b, owner: isPartlyMine ? "itself" : owner });
      return;
    }
    for (const { key, text, at } of stepsOf(a, b, children))
      walk(at(a), at(b), child(shape, key), child(mine, key), path + text(path), isWithinOwn || isLeafOfMine);
  };
  for (const name of new Set([...Object.keys(from), ...Object.keys(to)])) {
    if (["apiVersion", "kind", "status"].includes(name)) continue;
    if (name !== "metadata") {
      walk(from[name] as Node, to[name] as Node, child(fields, `f:${name}`), child(own, `f:${name}`), name, false);
      continue;
    }
    for (const inner of ownMetadata) {
      const [shape, mine] = [fields, own].map((set) => child(child(set, "f:metadata"), `f:${inner}`));
      walk(from.metadata[inner] as Node, to.metadata[inner] as Node, shape, mine, `metadata.${inner}`, false);
    }
  }
  return found;
}

/** All field sets of an object in one: what is known of the shape of its lists. */
export function shapeOf(...objects: readonly KubeObject[]): JsonObject {
  const sets = objects.flatMap(({ metadata }) => (metadata.managedFields ?? []).map(({ fieldsV1 = {} }) => fieldsV1));
  return sets.reduce(union, {});
}

/** The field set of the agent's own entry. */
export const ownFields = ({ metadata }: KubeObject): JsonObject =>
  metadata.managedFields?.find(
    ({ manager, operation, subresource = "" }) =>
      manager === "plumbline" && operation === "Apply" && subresource === "",
  )?.fieldsV1 ?? {};

/** Who owns what, without the times: equal when an apply would change no owner. */
export const ownershipText = ({ metadata }: KubeObject): string =>
  canonicalJson(
    (metadata.managedFields ?? [])
      .map(({ manager, operation, apiVersion = "", subresource = "", fieldsV1 = {} }) =>
        canonicalJson({ manager, operation, apiVersion, subresource, fieldsV1 }),
      )
      .sort(),
  );

const childKeys = (fields: JsonObject): string[] => Object.keys(fields).filter((key) => key !== ".");
const child = (fields: Fields, key: string): Fields => fields?.[key] as Fields;
const isObject = (value: Node): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const areContainers = (a: Node, b: Node): boolean =>
  [a, b].every((side) => side === undefined || isObject(side)) ||
  [a, b].every((side) => side === undefined || Array.isArray(side));

type Step = { readonly key: string; text: (path: string) => string; at: (value: Node) => Node };

function stepsOf(a: Node, b: Node, children: readonly string[]): Step[] {
  if (isObject(a) || isObject(b)) return fieldsOf(a, b);
  const items = [a, b].flatMap((side) => (Array.isArray(side) ? side : []));
  if (children[0]!.startsWith("v:")) return membersOf(items);
  const names = Object.keys(parseJson(children[0]!.slice(2)) as JsonObject).sort();
  return itemsOf(items, names);
}

const plainName = /^[A-Za-z_$][\w$-]*$/;

function fieldsOf(a: Node, b: Node): Step[] {
  const names = new Set([a, b].flatMap((side) => (isObject(side) ? Object.keys(side) : [])));
  return [...names].map((name) => ({
    key: `f:${name}`,
    text: (path) => (plainName.test(name) ? (path === "" ? name : `.${name}`) : `[${JSON.stringify(name)}]`),
    at: (value) => (isObject(value) ? value[name] : undefined),
  }));
}

const membersOf = (items: readonly Json[]): Step[] =>
  [...new Set(items.map((item) => canonicalJson(item)))].map((text) => ({
    key: `v:${text}`,
    text: () => `[=${text}]`,
    at: (value) => (Array.isArray(value) ? value.find((item) => canonicalJson(item) === text) : undefined),
  }));

function itemsOf(items: readonly Json[], names: readonly string[]): Step[] {
  const keyOf = (item: Json): string =>
    canonicalJson(Object.fromEntries(names.map((name) => [name, (item as JsonObject)[name] ?? null])));
  const keys = new Map(items.map((item) => [keyOf(item), item as JsonObject]));
  return [...keys].map(([key, item]) => ({
    key: `k:${key}`,
    text: () => {
      const pairs = names.map((name) => {
        const value = item[name] ?? null;
        return `${name}=${typeof value === "string" ? value : canonicalJson(value)}`;
      });
      return `[${pairs.join(",")}]`;
    },
    at: (value) => (Array.isArray(value) ? value.find((one) => keyOf(one) === key) : undefined),
  }));
}

/** The text of a list key is made canonical on the way. */
function union(a: JsonObject, b: JsonObject): JsonObject {
  const merged = { ...a };
  for (const [name, inner] of Object.entries(b)) {
    const key = name.startsWith("k:") ? `k:${canonicalJson(parseJson(name.slice(2)))}` : name;
    merged[key] = union((merged[key] ?? {}) as JsonObject, inner as JsonObject);
  }
  return merged;
}

/** A field set with canonical list keys. */
export const canonicalFields = (fields: JsonObject): JsonObject => union({}, fields);
