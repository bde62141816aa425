import { fieldManager } from "#agent/cluster/cluster.ts";
import { canonicalJson, parseJson } from "#proto/json.ts";
import type { Json, JsonObject, KubeObject, ManagedFieldsEntry } from "#proto/object.ts";

/** One owned path of `fieldsV1` and the value there. `isExistence`: only that it is there is owned, not what is in it. */
export type OwnedValue = { readonly path: string; readonly value: Json | undefined; readonly isExistence: boolean };

/** Our apply entry: one per manager (structured-merge-diff keeps subresources apart). */
export const ownEntry = (object: KubeObject): ManagedFieldsEntry | undefined =>
  object.metadata.managedFields?.find(
    (entry) => entry.manager === fieldManager && entry.operation === "Apply" && (entry.subresource ?? "") === "",
  );

/** Every path of a field set with its value in `object`, sorted by path: the text of a list key must not matter. */
export function ownedValues(fields: JsonObject, object: KubeObject): OwnedValue[] {
  const found: OwnedValue[] = [];
  collect(fields, object as Json, "", found);
  return found.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}

function collect(fields: JsonObject, value: Json | undefined, path: string, found: OwnedValue[]): void {
  const keys = Object.keys(fields).filter((key) => key !== ".");
  if (keys.length === 0) {
    const isExistence = fields["."] !== undefined;
    found.push({ path, value: isExistence ? presence(value) : value, isExistence });
    return;
  }
  for (const key of keys.sort()) {
    const step = stepOf(key);
    collect(fields[key] as JsonObject, step.child(value), path + step.text(path), found);
  }
}

const presence = (value: Json | undefined): Json | undefined =>
  value === undefined || value === null ? undefined : true;

type Step = { child(value: Json | undefined): Json | undefined; text(path: string): string };

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

const plainName = /^[A-Za-z_$][\w$-]*$/;
const fieldText = (name: string, path: string): string =>
  plainName.test(name) ? (path === "" ? name : `.${name}`) : `[${JSON.stringify(name)}]`;

const items = (value: Json | undefined): Json[] => (Array.isArray(value) ? value : []);

const member = (value: Json | undefined, name: string): Json | undefined =>
  typeof value === "object" && value !== null && !Array.isArray(value) && Object.hasOwn(value, name)
    ? value[name]
    : undefined;
