import type { ManagedFieldsEntry } from "#proto/object.ts";
import { fromFieldsV1, toFieldsV1, without, type FieldSet } from "./field-set.ts";

/** Who owns which fields: one entry for a manager, operation, subresource and, for updates, version. */
export type Manager = {
  readonly manager: string;
  readonly operation: "Apply" | "Update";
  readonly apiVersion: string;
  readonly subresource: string;
  readonly time: string | undefined;
  readonly fields: FieldSet;
};
export type Managers = Map<string, Manager>;

export const managerKey = (manager: Omit<Manager, "fields" | "time">): string =>
  JSON.stringify([
    manager.operation,
    manager.manager,
    manager.subresource,
    // An apply goes on under another version of its kind; an update by another version is another owner.
    manager.operation === "Update" ? manager.apiVersion : "",
  ]);

export function readManagers(entries: readonly ManagedFieldsEntry[] | undefined): Managers {
  const managers = (entries ?? [])
    .filter(({ manager, fieldsV1 }) => manager !== undefined && fieldsV1 !== undefined)
    .map((entry): Manager => ({
      manager: entry.manager,
      operation: entry.operation,
      apiVersion: entry.apiVersion ?? "",
      subresource: entry.subresource ?? "",
      time: entry.time,
      fields: fromFieldsV1(entry.fieldsV1 ?? {}),
    }));
  return new Map(managers.map((manager) => [managerKey(manager), manager]));
}

/** In the server's order: applies first, then by time, name, version, subresource. */
export function writeManagers(managers: Managers): ManagedFieldsEntry[] {
  return capped([...managers.values()].filter(({ fields }) => fields.size > 0))
    .sort(inOrder)
    .map(({ manager, operation, apiVersion, subresource, time, fields }) => ({
      manager,
      operation,
      apiVersion,
      ...(time === undefined ? {} : { time }),
      fieldsType: "FieldsV1",
      fieldsV1: toFieldsV1(fields),
      ...(subresource === "" ? {} : { subresource }),
    }));
}

/** Kubernetes keeps ten updaters of an object; the oldest beyond them become one, by version. */
const updaterLimit = 10;
const ancient = "ancient-changes";

function capped(managers: readonly Manager[]): Manager[] {
  const updaters = managers.filter(({ operation }) => operation === "Update").sort(inOrder);
  const surplus = updaters.length - updaterLimit;
  if (surplus <= 0) return [...managers];
  const merged = new Map<string, Manager>();
  const gone = new Set<Manager>();
  for (const updater of updaters) {
    if (updaters.length - gone.size + merged.size <= updaterLimit) break;
    const entry = merged.get(updater.apiVersion);
    const fields = updater.fields.union(entry?.fields ?? new Set<string>());
    merged.set(updater.apiVersion, { ...updater, manager: ancient, subresource: "", fields });
    gone.add(updater);
  }
  return [...managers.filter((manager) => !gone.has(manager)), ...merged.values()];
}

function inOrder(a: Manager, b: Manager): number {
  return (
    compareText(a.operation, b.operation) ||
    compareText(a.time ?? "", b.time ?? "") ||
    compareText(a.manager, b.manager) ||
    compareText(a.apiVersion, b.apiVersion) ||
    compareText(a.subresource, b.subresource)
  );
}
const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const neverOwned = new Set(["f:apiVersion", "f:kind", "f:metadata"]);
const neverOwnedMetadata = [
  "name",
  "namespace",
  "creationTimestamp",
  "selfLink",
  "uid",
  "clusterName",
  "generation",
  "managedFields",
  "resourceVersion",
].map((name) => `f:metadata\u0000f:${name}`);

/** Without what nobody owns, and what this subresource may not write. */
export function ownable(fields: FieldSet, resets: readonly string[]): FieldSet {
  const owned = new Set([...fields].filter((path) => path !== "" && !neverOwned.has(path)));
  return without(owned, [...neverOwnedMetadata, ...resets]);
}
