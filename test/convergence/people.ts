import type { ObjectAddress } from "#agent/cluster/cluster.ts";
import type { SimulatedCluster } from "#agent/cluster/simulated/simulated.ts";
import type { ClusterId } from "#proto/ids.ts";
import { refOf, type KubeObject } from "#proto/object.ts";
import { place } from "./place.ts";
import { meddle, pool, strangeLabel } from "./pool.ts";

export const addressOf = (object: KubeObject): ObjectAddress => ({ ...refOf(object), apiVersion: object.apiVersion });

/** What is there of this name of the pool, and is not on its way out. */
export function standing(simulated: SimulatedCluster, name: string): KubeObject | undefined {
  const there = simulated.get(addressOf(pool[name]!(0)));
  return there?.metadata.deletionTimestamp === undefined ? there : undefined;
}

/** Somebody with kubectl, who may do everything. */
export function meddleWith(
  simulated: SimulatedCluster,
  how: "edit" | "unlabel" | "delete" | "mark",
  name: string,
): void {
  const address = addressOf(pool[name]!(0));
  if (how === "delete") return simulated.remove(address);
  const change = (object: KubeObject): void => {
    if (how === "edit") return meddle(object);
    if (how === "mark") object.metadata.labels = { ...object.metadata.labels, [strangeLabel]: "yes" };
    else delete object.metadata.labels?.["plumbline.dev/agent"];
  };
  simulated.edit(address, change, { manager: "kubectl-edit" });
}

/** An object of somebody else, labelled as ours, as a copy of one of ours is. */
export async function makeStranger(simulated: SimulatedCluster, name: string, cluster: ClusterId): Promise<void> {
  const { apiVersion, kind, ...metadata } = strangerAddress(name);
  const labels = { "plumbline.dev/agent": cluster };
  const { namespace } = metadata;
  await simulated
    .connect("kubectl")
    .create({ apiVersion, kind, metadata: { name: metadata.name, namespace, labels }, data: { a: "1" } });
}

export const strangerAddress = (name: string): ObjectAddress => ({
  apiVersion: "v1",
  group: "",
  kind: "ConfigMap",
  namespace: place,
  name: `stranger-${name}`,
});
