import { fieldManager } from "#agent/cluster/cluster.ts";
import type { JsonObject, KubeObject, ManagedFieldsEntry } from "#proto/object.ts";
import { ownedPaths, ownEntry } from "./fields.ts";
import { isWithin, valueAt } from "./paths.ts";
import { pathWithin } from "./shape.ts";

/** A field that somebody else set and that we never owned. */
export type ForeignField = { readonly path: string; readonly tool: string };

const roots = ["spec", "metadata.labels", "metadata.annotations", "data", "binaryData"];

/**
 * Fields of spec, labels, annotations and data that others own alone; whoever writes the status of an object is its
 * controller, and none of ours. `except`: paths that are let be.
 */
export function foreignFields(object: KubeObject, except: readonly string[] = []): ForeignField[] {
  const others = foreignEntries(object);
  if (others.length === 0) return [];
  const own = ownedPaths(ownEntry(object)?.fieldsV1 ?? {});
  // What lies within a path of ours is another's: we own the empty value there, not what others put into it.
  const isOurs = (path: string): boolean => own.some((ours) => isWithin(ours, path));
  const found = new Map<string, ForeignField>();
  for (const { manager, fieldsV1 = {} } of others)
    for (const path of ownedPaths(fieldsV1))
      if (
        roots.some((root) => isWithin(path, root) && path !== root) &&
        valueAt(object, path) !== undefined &&
        !isOurs(path) &&
        !except.some((one) => isWithin(path, one))
      )
        found.set(path, { path, tool: manager });
  return [...found.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** The object with those fields in our entry and in nobody else's: our next apply, which does not name them, removes them. */
export function takeOverForeign(object: KubeObject, fields: readonly ForeignField[]): KubeObject {
  const paths = fields.map(({ path }) => path);
  const others = new Set(foreignEntries(object));
  const entries = (object.metadata.managedFields ?? []).flatMap((entry) => {
    if (!others.has(entry)) return [entry];
    const rest = select(entry.fieldsV1 ?? {}, (path) => !paths.includes(path));
    return rest === undefined ? [] : [{ ...entry, fieldsV1: rest }];
  });
  const taken = [...others].map((entry) => select(entry.fieldsV1 ?? {}, (path) => paths.includes(path)) ?? {});
  const own = ownEntry(object);
  if (own === undefined) return object;
  const fieldsV1 = taken.reduce(union, own.fieldsV1 ?? {});
  const managedFields = entries.map((entry) => (entry === own ? { ...own, fieldsV1 } : entry));
  return { ...object, metadata: { ...object.metadata, managedFields } };
}

function foreignEntries(object: KubeObject): ManagedFieldsEntry[] {
  const entries = object.metadata.managedFields ?? [];
  const statusWriters = new Set(
    entries
      .filter(({ subresource, fieldsV1 = {} }) => subresource === "status" || "f:status" in fieldsV1)
      .map(({ manager }) => manager),
  );
  return entries.filter(
    ({ manager, subresource = "" }) => manager !== fieldManager && subresource === "" && !statusWriters.has(manager),
  );
}

/** The part of a field set whose leaves pass; undefined when none does. */
function select(fields: JsonObject, passes: (path: string) => boolean): JsonObject | undefined {
  const keep = (part: JsonObject, path: string): JsonObject | undefined => {
    const keys = Object.keys(part).filter((key) => key !== ".");
    if (keys.length === 0) return passes(path) ? part : undefined;
    const kept = keys.flatMap((key) => {
      const inner = keep(part[key] as JsonObject, pathWithin(path, key));
      return inner === undefined ? [] : [[key, inner] as const];
    });
    if (kept.length === 0) return undefined;
    // The mark of existence goes with the last of what is in it.
    const existence = part["."] === undefined ? {} : { ".": part["."] };
    return { ...existence, ...Object.fromEntries(kept) };
  };
  return keep(fields, "");
}

function union(a: JsonObject, b: JsonObject): JsonObject {
  const merged = { ...a };
  for (const [key, inner] of Object.entries(b))
    merged[key] = key in merged ? union(merged[key] as JsonObject, inner as JsonObject) : inner;
  return merged;
}
