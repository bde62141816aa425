import type { Cluster, KindInfo } from "#agent/cluster/cluster.ts";
import { UnknownKind } from "#agent/cluster/errors.ts";
import { groupOf, refOf, type KubeObject, type ObjectRef } from "#proto/object.ts";
import type { Deletion } from "./deletion.ts";
import type { Faults, SimulatedRequest } from "./faults.ts";
import type { Kind, Kinds } from "./kinds.ts";
import type { Store } from "./store.ts";
import { isSelected, served, type Watching } from "./watching.ts";
import { groupKindOf, type Writes } from "./writes.ts";

export type Parts = {
  readonly version: string;
  readonly store: Store;
  readonly kinds: Kinds;
  readonly writes: Writes;
  readonly deletion: Deletion;
  readonly watching: Watching;
  readonly faults: Faults;
};

/** One client of the simulated cluster, under one manager's name. Every request passes the faults and is counted. */
export function connectTo(parts: Parts, manager: string, user = ""): Cluster {
  const { store, kinds, writes, deletion, watching, faults } = parts;

  const kindFor = (apiVersion: string, kind: string): Kind => {
    const found = kinds.find(apiVersion, kind);
    if (found === undefined) throw new UnknownKind(`the API server does not serve ${apiVersion} ${kind}`);
    return found;
  };
  const anyOf = (apiVersion: string, kind: string): Kind | undefined =>
    kinds.find(apiVersion, kind) ?? kinds.findAny(groupOf(apiVersion), kind);
  const request = (
    verb: SimulatedRequest["verb"],
    { resource, kind }: KindInfo,
    place: { namespace?: string | undefined; name?: string },
    isDryRun = false,
  ): SimulatedRequest => {
    const { namespace = "", name = "" } = place;
    return { manager, user, verb, resource, kind, namespace, name, isDryRun };
  };
  const stored = (kind: Kind, { namespace, name }: ObjectRef): KubeObject | undefined =>
    store.get(groupKindOf(kind), namespace, name);
  // What a caller keeps of its object must not reach the store, nor the other way round.
  const write = async (
    verb: "patch" | "create" | "update",
    object: KubeObject,
    options: { isDryRun?: boolean; signal?: AbortSignal | undefined },
    run: (kind: Kind, own: KubeObject) => KubeObject,
  ): Promise<KubeObject> => {
    const kind = kindFor(object.apiVersion, object.kind);
    const asked = request(verb, kind, refOf(object), options.isDryRun);
    return faults.pass(asked, options.signal, () => served(run(kind, structuredClone(object)), kind));
  };

  return {
    version: async () => parts.version,
    kindOf: async (apiVersion, kind) => infoOf(kinds.find(apiVersion, kind)),
    servedKind: async (apiVersion, kind) => infoOf(anyOf(apiVersion, kind)),
    knownKind: async (apiVersion, kind) => infoOf(kinds.find(apiVersion, kind)),
    as: (name) => connectTo(parts, manager, name),
    apply: (object, { force = false, dryRun = false, signal } = {}) =>
      write("patch", object, { isDryRun: dryRun, signal }, (kind, own) =>
        writes.apply(kind, own, { manager, force, dryRun }),
      ),
    create: (object, signal) =>
      write("create", object, { signal }, (kind, own) => writes.create(kind, own, { manager })),
    replace: (object, signal) =>
      write("update", object, { signal }, (kind, own) => writes.replace(kind, own, { manager })),
    async get(address, signal) {
      const kind = anyOf(address.apiVersion, address.kind);
      if (kind === undefined) return undefined;
      return faults.pass(request("get", kind, address), signal, () => {
        const found = stored(kind, address);
        return found === undefined ? undefined : served(found, kind);
      });
    },
    list: (kind, selection = {}) =>
      faults.pass(request("list", kind, selection), selection.signal, () => ({
        items: store
          .list(groupKindOf(kind))
          .filter((object) => isSelected(object, selection))
          .slice(0, selection.limit)
          .map((object) => served(object, kind)),
        resourceVersion: String(store.version),
      })),
    async *watch(kind, resourceVersion, selection = {}) {
      const asked = request("watch", kind, selection);
      yield* await faults.pass(asked, selection.signal, () => watching.watch(kind, resourceVersion, selection));
    },
    async delete(address, { uid, propagation, signal }) {
      const kind = anyOf(address.apiVersion, address.kind) ?? kindFor(address.apiVersion, address.kind);
      return faults.pass(request("delete", kind, address), signal, () => {
        const found = stored(kind, address);
        if (found === undefined || found.metadata.uid !== uid) return "gone";
        deletion.delete(kind, found, propagation);
        return "deleted";
      });
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}

function infoOf(found: Kind | undefined): KindInfo | undefined {
  if (found === undefined) return undefined;
  const { group, version, kind, resource, namespaced, verbs } = found;
  return { group, version, kind, resource, namespaced, verbs };
}
