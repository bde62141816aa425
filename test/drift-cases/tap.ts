import type { Cluster, KindInfo } from "#agent/cluster/cluster.ts";
import { refKey, refOf, type KubeObject } from "#proto/object.ts";

/** How far an agent has judged what its watches brought, by object. */
export type Judged = Map<string, bigint | "deleted">;

/** The same cluster; what its lists and watches brought is noted once whoever reads them asks for more. */
export function tapped(cluster: Cluster, judged: Judged): Cluster {
  const listed = new Map<string, readonly KubeObject[]>();
  const note = (object: KubeObject): void =>
    void judged.set(refKey(refOf(object)), BigInt(object.metadata.resourceVersion ?? "0"));
  const nameOf = ({ group, kind }: KindInfo, namespace = ""): string => `${group}/${kind}/${namespace}`;
  return {
    version: (signal) => cluster.version(signal),
    kindOf: (apiVersion, kind, signal) => cluster.kindOf(apiVersion, kind, signal),
    servedKind: (apiVersion, kind, signal) => cluster.servedKind(apiVersion, kind, signal),
    knownKind: (apiVersion, kind, signal) => cluster.knownKind(apiVersion, kind, signal),
    as: (user) => cluster.as(user),
    apply: (object, options) => cluster.apply(object, options),
    get: (address, signal) => cluster.get(address, signal),
    create: (object, signal) => cluster.create(object, signal),
    replace: (object, signal) => cluster.replace(object, signal),
    delete: (address, options) => cluster.delete(address, options),
    async list(kind, selection) {
      const list = await cluster.list(kind, selection);
      listed.set(nameOf(kind, selection?.namespace), list.items);
      return list;
    },
    async *watch(kind, resourceVersion, selection) {
      const name = nameOf(kind, selection?.namespace);
      for (const object of listed.get(name) ?? []) note(object);
      listed.delete(name);
      for await (const event of cluster.watch(kind, resourceVersion, selection)) {
        yield event;
        if (event.type === "DELETED") judged.set(refKey(refOf(event.object)), "deleted");
        else if (event.type !== "BOOKMARK") note(event.object);
      }
    },
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  };
}
