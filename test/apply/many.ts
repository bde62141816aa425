import type { Cluster } from "#agent/cluster/cluster.ts";
import type { World } from "#test/drift-cases/world.ts";
import type { KubeObject } from "#proto/object.ts";
import { sha256Hex } from "#proto/json.ts";
import { settings } from "./objects.ts";

/** So many ConfigMaps, with names of that length that do not compress. */
export const many = (world: World, count: number, nameLength: number, level = "1"): KubeObject[] =>
  Array.from({ length: count }, (_, n) => settings(world, nameOf(n, nameLength), { level }));

function nameOf(n: number, length: number): string {
  let name = `c-${n}-`;
  for (let part = 0; name.length < length; part += 1) name += sha256Hex(`${n} ${part}`);
  return name.slice(0, length);
}

/** The agent's connection, with the size of each Secret that it writes, the largest by its name. */
export function weighing(cluster: Cluster, sizes: Map<string, number>): Partial<Cluster> {
  const weigh = (object: KubeObject): void => {
    const data = Object.values((object["data"] ?? {}) as Record<string, string>);
    if (object.kind !== "Secret") return;
    const { name } = object.metadata;
    const size = data.reduce((sum, text) => sum + Buffer.byteLength(text, "base64"), 0);
    sizes.set(name, Math.max(size, sizes.get(name) ?? 0));
  };
  return {
    create: (object: KubeObject, signal?: AbortSignal) => (weigh(object), cluster.create(object, signal)),
    replace: (object: KubeObject, signal?: AbortSignal) => (weigh(object), cluster.replace(object, signal)),
  };
}
