import type { KubeObject } from "#proto/object.ts";

/** Manifests of a hundred objects each: one file has to stay under 1 MiB. */
export function filesOf(objects: readonly KubeObject[]): Record<string, string> {
  const files: Record<string, string> = {};
  for (let from = 0; from < objects.length; from += 100)
    files[`part-${from}.yaml`] = objects
      .slice(from, from + 100)
      .map((object) => JSON.stringify(object))
      .join("\n---\n");
  return files;
}
