import { fieldManager } from "#agent/cluster/cluster.ts";
import type { Json, JsonObject, KubeObject, ManagedFieldsEntry } from "#proto/object.ts";
import { shapeOf, type OwnedPath } from "./shape.ts";

/** One owned path of `fieldsV1` and the value there. */
export type OwnedValue = Omit<OwnedPath, "quoted"> & { readonly value: Json | undefined };

/** Our apply entry: one per manager (structured-merge-diff keeps subresources apart). */
export const ownEntry = (object: KubeObject): ManagedFieldsEntry | undefined =>
  object.metadata.managedFields?.find(
    (entry) => entry.manager === fieldManager && entry.operation === "Apply" && (entry.subresource ?? "") === "",
  );

/** Every path of a field set with its value in `object`, sorted by path. */
export function ownedValues(fields: JsonObject, object: KubeObject): OwnedValue[] {
  const { paths, valuesIn } = shapeOf(fields);
  const values = valuesIn(object);
  return paths.map(({ path, isExistence }, index) => ({ path, isExistence, value: values[index] }));
}

/** The paths of a field set, sorted. */
export const ownedPaths = (fields: JsonObject): string[] => shapeOf(fields).paths.map(({ path }) => path);
