import type { Writer } from "#agent/authority/writer.ts";
import type { ObjectAddress } from "#agent/cluster/cluster.ts";
import { kindDefinedBy, type KubeObject } from "#proto/object.ts";
import type { Context } from "./context.ts";
import { isOurs } from "./send.ts";

/** Undefined when it is gone for certain. Throws when nobody can tell. */
export async function livingObject(context: Context, address: ObjectAddress): Promise<KubeObject | undefined> {
  const { cluster, signal } = context;
  const there = await cluster.get(address, signal);
  const isServed = there !== undefined || (await cluster.servedKind(address.apiVersion, address.kind, signal));
  if (isServed === undefined && !(await isDefinedNowhere(context, address)))
    throw new Error(`the API server does not serve ${address.apiVersion} ${address.kind} now`);
  return there;
}

/** A heal makes an object anew, under another uid, and writes no inventory: what stands there may be ours all the same. */
export async function deleteOurs(
  context: Context,
  writer: Writer,
  address: ObjectAddress,
  uid: string,
): Promise<boolean> {
  const { cluster, signal } = context;
  if ((await writer.delete(address, { uid, signal })) === "deleted") return true;
  const there = await cluster.get(address, signal);
  if (there === undefined || there.metadata.uid === uid || !isOurs(there, context)) return false;
  return (await writer.delete(address, { uid: there.metadata.uid ?? "", signal })) === "deleted";
}

/**
 * That a kind is not served says nothing of its objects: its server may be away. That no CRD defines it, in the API
 * server's own store, says that they are gone.
 */
async function isDefinedNowhere({ cluster, signal }: Context, { group, kind }: ObjectAddress): Promise<boolean> {
  const definitions = await cluster.kindOf("apiextensions.k8s.io/v1", "CustomResourceDefinition", signal);
  if (definitions === undefined) return false;
  const { items } = await cluster.list(definitions, { signal });
  return !items.some((definition) => kindDefinedBy(definition).kind === `${group}/${kind}`);
}
