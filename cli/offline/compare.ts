import { stringifyJson } from "#proto/json.ts";
import { describeRef, refKey, refOf, type Json, type JsonObject, type KubeObject } from "#proto/object.ts";

export type FieldChange = { readonly path: string; readonly before: string | null; readonly after: string | null };
export type ObjectChange = {
  readonly object: string;
  readonly kind: "added" | "removed" | "changed";
  readonly fields: readonly FieldChange[];
};

/** What a value that nobody may see stands as. Two of them are never told apart. */
export const redacted = "(redacted)";

/** The objects in which two renderings differ, field by field, in the order of their names. */
export function compareObjects(before: readonly KubeObject[], after: readonly KubeObject[]): ObjectChange[] {
  const [old, now] = [byKey(before), byKey(after)];
  const keys = [...new Set([...old.keys(), ...now.keys()])].sort();
  return keys.flatMap((key): ObjectChange[] => {
    const [was, is] = [old.get(key), now.get(key)];
    const object = describeRef(refOf((is ?? was)!));
    if (was === undefined) return [{ object, kind: "added", fields: leavesOf("", ownFields(is!)).map(asAdded) }];
    if (is === undefined) return [{ object, kind: "removed", fields: leavesOf("", ownFields(was)).map(asRemoved) }];
    const fields = compareValues("", was as unknown as Json, is as unknown as Json);
    return fields.length === 0 ? [] : [{ object, kind: "changed", fields }];
  });
}

type Leaf = { readonly path: string; readonly text: string };

const asAdded = ({ path, text }: Leaf): FieldChange => ({ path, before: null, after: text });
const asRemoved = ({ path, text }: Leaf): FieldChange => ({ path, before: text, after: null });

/** Without what its name says already. */
function ownFields({ apiVersion: _apiVersion, kind: _kind, metadata, ...fields }: KubeObject): Json {
  const { name: _name, namespace: _namespace, ...more } = metadata;
  return { ...(Object.keys(more).length > 0 && { metadata: more }), ...fields } as Json;
}

function leavesOf(path: string, value: Json): Leaf[] {
  const members = membersOf(value)?.members;
  if (members === undefined || members.size === 0)
    return path === "" ? [] : [{ path: named(path), text: textOf(value)! }];
  return [...members].flatMap(([name, member]) => leavesOf(`${path}${name}`, member));
}

const named = (path: string): string => path.replace(/^\./, "");

const byKey = (objects: readonly KubeObject[]): Map<string, KubeObject> =>
  new Map(objects.map((object) => [refKey(refOf(object)), object]));

function compareValues(path: string, before: Json | undefined, after: Json | undefined): FieldChange[] {
  const [was, is] = [membersOf(before), membersOf(after)];
  if (was !== undefined && is !== undefined && was.isList === is.isList) {
    const names = [...new Set([...was.members.keys(), ...is.members.keys()])];
    return names.flatMap((name) => compareValues(`${path}${name}`, was.members.get(name), is.members.get(name)));
  }
  // What is new or gone as a whole is told by what it holds, as a new object is.
  if (before === undefined && after !== undefined) return leavesOf(path, after).map(asAdded);
  if (after === undefined && before !== undefined) return leavesOf(path, before).map(asRemoved);
  const texts = [textOf(before), textOf(after)] as const;
  return texts[0] === texts[1] ? [] : [{ path: named(path), before: texts[0], after: texts[1] }];
}

type Members = { readonly isList: boolean; readonly members: ReadonlyMap<string, Json> };

function membersOf(value: Json | undefined): Members | undefined {
  if (value === null || typeof value !== "object") return undefined;
  if (!Array.isArray(value)) return { isList: false, members: new Map(Object.entries(value).map(fieldOf)) };
  const names = value.map((item) => nameOf(item));
  // Containers and ports go by their names, as people speak of them; what has none goes by its place.
  const isNamed = names.every((name) => name !== undefined) && new Set(names).size === names.length;
  return {
    isList: true,
    members: new Map(value.map((item, n) => [isNamed ? `[name=${names[n]}]` : `[${n}]`, item])),
  };
}

const fieldOf = ([name, value]: [string, Json]): [string, Json] => [
  /^[\w-]+$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`,
  value,
];

function nameOf(item: Json): string | undefined {
  if (item === null || typeof item !== "object" || Array.isArray(item)) return undefined;
  return typeof item["name"] === "string" ? item["name"] : undefined;
}

const textOf = (value: Json | undefined): string | null => (value === undefined ? null : stringifyJson(value));

export const isSecret = ({ apiVersion, kind }: KubeObject): boolean => kind === "Secret" && apiVersion === "v1";

/** Without the values of Secrets, so that it can be compared with what somebody else redacted. */
export function withoutSecrets(objects: readonly KubeObject[]): KubeObject[] {
  return objects.map((object) => {
    if (!isSecret(object)) return object;
    const data = Object.keys((object["data"] as JsonObject | undefined) ?? {});
    return { ...object, ...(object["data"] && { data: Object.fromEntries(data.map((key) => [key, redacted])) }) };
  });
}
