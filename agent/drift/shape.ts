import { canonicalJson, parseJson, sha256Hex } from "#proto/json.ts";
import type { Json, JsonObject, KubeObject } from "#proto/object.ts";

/**
 * A field set (`fieldsV1`) in the form in which it is used at each event: read once, because most objects of a kind have the
 * same, and an object has it at each of its changes.
 */
export type FieldShape = {
  /** SHA-256 of its canonical form. */
  readonly ownershipHash: string;
  /** Its leaves, sorted by path: the text of a list key must not matter. */
  readonly paths: readonly OwnedPath[];
  /** What `object` has at each of `paths`. */
  readonly valuesIn: (object: KubeObject) => (Json | undefined)[];
};

/** `quoted`: the path as JSON. `isExistence`: only that it is there is owned, not what is in it. */
export type OwnedPath = { readonly path: string; readonly quoted: string; readonly isExistence: boolean };

/** The shapes used last, by the text of their field sets: some fifty of Deployments, which take about a megabyte. */
const keptCharacters = 65_536;
/** A definition of a kind has a field set of hundreds of kilobytes, which is nobody else's. */
const longestKept = 8_192;

const kept = new Map<string, FieldShape>();
let characters = 0;

export function shapeOf(fields: JsonObject): FieldShape {
  const text = JSON.stringify(fields);
  const known = kept.get(text);
  if (known !== undefined) {
    // Behind the others: the first one goes next.
    kept.delete(text);
    kept.set(text, known);
    return known;
  }
  const shape = read(fields);
  if (text.length > longestKept) return shape;
  kept.set(text, shape);
  characters += text.length;
  for (const oldest of kept.keys()) {
    if (characters <= keptCharacters) break;
    kept.delete(oldest);
    characters -= oldest.length;
  }
  return shape;
}

type Leaf = OwnedPath & { index: number };
type Node = { readonly child: Step["child"]; readonly leaf?: Leaf; readonly children: readonly Node[] };

function read(fields: JsonObject): FieldShape {
  const leaves: Leaf[] = [];
  const root = nodeOf(fields, (value) => value, "", leaves);
  const paths = [...leaves].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  for (const [index, leaf] of paths.entries()) leaf.index = index;
  return {
    ownershipHash: sha256Hex(fieldsText(fields)),
    paths,
    valuesIn(object) {
      const values = Array.from<Json | undefined>({ length: paths.length });
      fill(root, object as Json, values);
      return values;
    },
  };
}

function nodeOf(fields: JsonObject, child: Step["child"], path: string, leaves: Leaf[]): Node {
  const keys = Object.keys(fields).filter((key) => key !== ".");
  if (keys.length === 0) {
    const leaf = { path, quoted: JSON.stringify(path), isExistence: fields["."] !== undefined, index: 0 };
    leaves.push(leaf);
    return { child, leaf, children: [] };
  }
  const children = keys.sort().map((key) => {
    const step = stepOf(key);
    return nodeOf(fields[key] as JsonObject, step.child, path + step.text(path), leaves);
  });
  return { child, children };
}

function fill({ child, leaf, children }: Node, parent: Json | undefined, values: (Json | undefined)[]): void {
  const value = child(parent);
  if (leaf !== undefined) values[leaf.index] = leaf.isExistence ? presence(value) : value;
  for (const inner of children) fill(inner, value, values);
}

const presence = (value: Json | undefined): Json | undefined =>
  value === undefined || value === null ? undefined : true;

/** Canonical JSON of a field set, in one go, without the tree between. */
function fieldsText(fields: JsonObject): string {
  const members = Object.keys(fields).map((key): [string, string] => [stableKey(key), key]);
  members.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return `{${members.map(([name, key]) => `${JSON.stringify(name)}:${fieldsText(fields[key] as JsonObject)}`).join(",")}}`;
}

// The server's text of a list key is not promised to be stable; its meaning is.
const stableKey = (key: string): string => (key.startsWith("k:") ? `k:${canonicalJson(parseJson(key.slice(2)))}` : key);

type Step = {
  readonly child: (value: Json | undefined) => Json | undefined;
  readonly text: (path: string) => string;
};

// The prefixes of fieldsV1: f: field, k: list item by keys, v: set member, i: index.
function stepOf(key: string): Step {
  const rest = key.slice(2);
  switch (key.slice(0, 2)) {
    case "f:":
      return { child: (value) => member(value, rest), text: (path) => fieldText(rest, path) };
    case "k:": {
      const keys = Object.entries(parseJson(rest) as JsonObject).sort(([a], [b]) => (a < b ? -1 : 1));
      return {
        child: (value) => items(value).find((item) => keys.every(([name, wanted]) => member(item, name) === wanted)),
        text: () =>
          `[${keys.map(([name, wanted]) => `${name}=${typeof wanted === "string" ? wanted : canonicalJson(wanted)}`).join(",")}]`,
      };
    }
    case "v:": {
      const wanted = parseJson(rest);
      return { child: (value) => (items(value).includes(wanted) ? true : undefined), text: () => `[=${rest}]` };
    }
    default:
      return { child: (value) => items(value)[Number(rest)], text: () => `[${rest}]` };
  }
}

/** The path of what lies under this key of a field set. */
export const pathWithin = (path: string, key: string): string => path + stepOf(key).text(path);

const plainName = /^[A-Za-z_$][\w$-]*$/;
const fieldText = (name: string, path: string): string =>
  plainName.test(name) ? (path === "" ? name : `.${name}`) : `[${JSON.stringify(name)}]`;

const items = (value: Json | undefined): Json[] => (Array.isArray(value) ? value : []);

const member = (value: Json | undefined, name: string): Json | undefined =>
  typeof value === "object" && value !== null && !Array.isArray(value) && Object.hasOwn(value, name)
    ? value[name]
    : undefined;
