import type { DeleteOptions } from "#agent/cluster/cluster.ts";
import { groupOf, type JsonObject, type KubeObject } from "#proto/object.ts";
import type { Kind } from "./kinds.ts";
import * as refusals from "./refusals.ts";
import type { Change, Store } from "./store.ts";
import { groupKindOf, secondOf } from "./writes.ts";

export type Deletion = {
  delete(kind: Kind, object: KubeObject, propagation?: DeleteOptions["propagation"]): void;
  /** Ends what a change left without an owner or a namespace. */
  follow(change: Change): void;
};

/** Deletion, with what the namespace and garbage controllers do about it, at once. */
export function createDeletion(store: Store, now: () => number): Deletion {
  const keyOf = ({ apiVersion, kind }: KubeObject): string => groupKindOf({ group: groupOf(apiVersion), kind });

  const end = (object: KubeObject): void => {
    if (object.metadata.deletionTimestamp !== undefined) return;
    if ((object.metadata.finalizers ?? []).length === 0) store.drop(keyOf(object), object);
    else store.put(keyOf(object), terminating(object));
  };
  const terminating = (object: KubeObject): KubeObject => {
    const { generation } = object.metadata;
    const metadata = {
      ...object.metadata,
      deletionTimestamp: secondOf(now()),
      deletionGracePeriodSeconds: 0,
      ...(generation === undefined ? {} : { generation: generation + 1 }),
    };
    return { ...object, metadata };
  };
  const contentsOf = (namespace: string): KubeObject[] =>
    [...store.all()].filter(({ metadata }) => metadata.namespace === namespace);

  const endNamespace = (namespace: KubeObject): void => {
    const ending = terminating(namespace);
    store.put("/Namespace", { ...ending, status: { ...(ending["status"] as JsonObject), phase: "Terminating" } });
    for (const object of contentsOf(namespace.metadata.name)) end(object);
    finishNamespace(namespace.metadata.name);
  };
  const finishNamespace = (name: string): void => {
    const namespace = store.get("/Namespace", "", name);
    if (namespace?.metadata.deletionTimestamp === undefined) return;
    if (contentsOf(name).length > 0 || (namespace.metadata.finalizers ?? []).length > 0) return;
    store.drop("/Namespace", namespace);
  };

  return {
    delete(kind, object, propagation = "Background") {
      if (kind.kind === "Namespace" && kind.group === "") {
        if (object.metadata.deletionTimestamp !== undefined)
          throw refusals.conflict(
            kind,
            object.metadata.name,
            "The system is ensuring all content is removed from this namespace.",
          );
        return endNamespace(object);
      }
      if (propagation === "Orphan")
        for (const owned of ownedBy(store, object)) store.put(keyOf(owned), freed(owned, object));
      if (propagation === "Foreground") for (const owned of ownedBy(store, object)) end(owned);
      end(store.get(keyOf(object), object.metadata.namespace ?? "", object.metadata.name) ?? object);
    },
    follow({ before, after }) {
      if (after !== undefined || before === undefined) {
        if (after?.kind === "Namespace") finishNamespace(after.metadata.name);
        return;
      }
      for (const owned of ownedBy(store, before)) if (ownersOf(owned).length === 1) end(owned);
      if (before.metadata.namespace !== undefined) finishNamespace(before.metadata.namespace);
    },
  };
}

type OwnerReference = { uid: string };
const ownersOf = (object: KubeObject): OwnerReference[] =>
  (object.metadata["ownerReferences"] as OwnerReference[] | undefined) ?? [];

const ownedBy = (store: Store, owner: KubeObject): KubeObject[] =>
  [...store.all()].filter((object) => ownersOf(object).some(({ uid }) => uid === owner.metadata.uid));

function freed(object: KubeObject, owner: KubeObject): KubeObject {
  const { ownerReferences: _, ...metadata } = object.metadata;
  const others = ownersOf(object).filter(({ uid }) => uid !== owner.metadata.uid);
  return { ...object, metadata: { ...metadata, ...(others.length === 0 ? {} : { ownerReferences: others }) } };
}
