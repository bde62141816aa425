import { ApiError } from "#agent/cluster/errors.ts";
import type { Json, JsonObject, KubeObject } from "#proto/object.ts";
import { elementsOf, isSameSet, type FieldSet } from "./field-set.ts";
import { managerKey, ownable, readManagers, writeManagers, type Manager, type Managers } from "./managers.ts";
import { compare, fieldsOf, merge, removeFields, withNamedParents } from "./merge.ts";
import type { Schema } from "./schema.ts";

// The updater of structured-merge-diff and the field manager around it (apimachinery/pkg/util/managedfields).

export type Writer = Omit<Manager, "fields" | "time"> & {
  readonly now: string;
  /** Paths that this subresource may not write. */
  readonly resets: readonly string[];
};

/** Server-side apply of `config` onto `live`. Throws ApiError 409 when others own what it changes and `force` is false. */
export function applyFields(
  live: KubeObject | undefined,
  config: KubeObject,
  schema: Schema,
  { writer, force, zero }: { writer: Writer; force: boolean; zero: JsonObject },
): KubeObject {
  const before = live === undefined ? bare(config) : withoutManagers(live);
  const managers = readManagers(live?.metadata.managedFields);
  if (live !== undefined && managers.size === 0) track(managers, before, zero, schema, writer);
  const key = managerKey(writer);
  const last = managers.get(key);
  const merged = merge(before, config as Json, schema);
  const fields = ownable(fieldsOf(config as Json, schema), writer.resets);
  managers.set(key, { ...writer, time: last?.time, fields });
  const after = prune(merged, managers, last?.fields, schema);
  const changed = disown(managers, key, before, after, schema, force ? undefined : config);
  const isSame = changed.size === 0 && last !== undefined && isSameSet(last.fields, fields);
  managers.set(key, { ...writer, time: isSame ? last.time : writer.now, fields });
  return withManagers(after as KubeObject, managers);
}

/** A write of the whole object: what differs from `live` becomes the writer's, whoever had it. */
export function updateFields(
  live: KubeObject | undefined,
  next: KubeObject,
  schema: Schema,
  { writer, zero }: { writer: Writer; zero: JsonObject },
): KubeObject {
  const given = next.metadata.managedFields;
  const isReset = given?.length === 1 && Object.keys(given[0] ?? {}).length === 0;
  if (isReset) return withManagers(next, new Map());
  const had = readManagers(given);
  const managers = had.size === 0 || writer.subresource !== "" ? readManagers(live?.metadata.managedFields) : had;
  // Ownership once cleared is not tracked again before the next apply.
  if (live !== undefined && managers.size === 0) return withManagers(next, managers);
  const before = live === undefined ? zeroed(next, zero) : withoutManagers(live);
  const key = managerKey(writer);
  const last = managers.get(key);
  const difference = compare(before, withoutManagers(next), schema);
  const touched = ownable(difference.added.union(difference.changed), writer.resets);
  disown(managers, "", before, withoutManagers(next), schema, undefined);
  const fields = (managers.get(key)?.fields ?? new Set<string>()).union(touched);
  const isSame = last !== undefined && isSameSet(last.fields, fields);
  managers.set(key, { ...writer, time: isSame ? last.time : writer.now, fields });
  return withManagers(next, managers);
}

/** Everything an object holds that nobody is known to have written becomes the first applier's predecessor's. */
function track(managers: Managers, live: JsonObject, zero: JsonObject, schema: Schema, writer: Writer): void {
  const first: Writer = { ...writer, manager: "before-first-apply", operation: "Update" };
  const { added, changed } = compare(zeroed(live as KubeObject, zero), live, schema);
  const fields = ownable(added.union(changed), writer.resets);
  managers.set(managerKey(first), { ...first, time: writer.now, fields });
}

/** Takes what changes away from all but `keep`; gives the paths that changed. */
function disown(
  managers: Managers,
  keep: string,
  before: Json,
  after: Json,
  schema: Schema,
  unforced: KubeObject | undefined,
): FieldSet {
  const { added, changed, removed } = compare(before, after, schema);
  const written = added.union(changed);
  const others = [...managers].filter(([key]) => key !== keep);
  const conflicts = others.flatMap(([, other]) => {
    const paths = [...other.fields.intersection(written)];
    return paths.length === 0 ? [] : [{ other, paths }];
  });
  if (unforced !== undefined && conflicts.length > 0) throw conflictOf(conflicts, unforced);
  for (const [key, other] of others)
    managers.set(key, { ...other, fields: other.fields.difference(written).difference(removed) });
  return written.union(removed);
}

/** Removes what the writer claimed before and claims no more, unless someone else does. */
function prune(merged: Json, managers: Managers, last: FieldSet | undefined, schema: Schema): Json {
  if (last === undefined || last.size === 0) return merged;
  const named = (fields: FieldSet): FieldSet => withNamedParents(fields, schema);
  const all = named(fieldsOf(merged, schema));
  const pruned = removeFields(merged, named(last), schema);
  const managed = named(new Set([...managers.values()].flatMap(({ fields }) => [...fields])));
  const owned = removeFields(merged, all.difference(named(fieldsOf(pruned, schema))).difference(managed), schema);
  // What the last apply did not name goes neither, though it stood within something that it did.
  return removeFields(merged, all.difference(named(fieldsOf(owned, schema))).intersection(named(last)), schema);
}

function conflictOf(conflicts: readonly { other: Manager; paths: string[] }[], object: KubeObject): ApiError {
  const causes = conflicts.flatMap(({ other, paths }) =>
    paths.sort().map((path) => ({
      reason: "FieldManagerConflict",
      message: `conflict with ${described(other)}`,
      field: elementsOf(path).map(shown).join(""),
    })),
  );
  const said = causes.map(({ message, field }) => `${message}: ${field}`).join(", ");
  return new ApiError(409, {
    reason: "Conflict",
    message: `Apply failed with ${causes.length} conflict${causes.length === 1 ? "" : "s"}: ${said}`,
    details: { name: object.metadata.name, causes },
  });
}

const described = ({ manager, operation, apiVersion }: Manager): string =>
  operation === "Apply" ? JSON.stringify(manager) : `${JSON.stringify(manager)} using ${apiVersion}`;

function shown(element: string): string {
  const rest = element.slice(2);
  if (element.startsWith("f:")) return `.${rest}`;
  if (element.startsWith("v:")) return `[=${rest}]`;
  const keys = Object.entries(JSON.parse(rest) as Record<string, unknown>);
  return `[${keys.map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(",")}]`;
}

const bare = ({ apiVersion, kind, metadata: { name } }: KubeObject): JsonObject => ({
  apiVersion,
  kind,
  metadata: { name },
});
const zeroed = (object: KubeObject, zero: JsonObject): JsonObject => ({ ...bare(object), ...zero });

function withoutManagers(object: KubeObject): JsonObject {
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, metadata } as JsonObject;
}

function withManagers(object: KubeObject, managers: Managers): KubeObject {
  const { managedFields: _, ...metadata } = object.metadata;
  const entries = writeManagers(managers);
  return { ...object, metadata: { ...metadata, ...(entries.length === 0 ? {} : { managedFields: entries }) } };
}
