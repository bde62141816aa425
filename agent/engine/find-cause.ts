import type { ClusterReader } from "#agent/cluster/cluster.ts";
import { causeOfNoPods, causeOfPod, lastSaid, lastWarning, newestReplicaSet, worstPod } from "#agent/health/cause.ts";
import type { Trail } from "#agent/health/trail.ts";
import type { KubeObject } from "#proto/object.ts";

/** Enough to see what is wrong; a thousand Pods of one Deployment fail alike. */
const looked = 50;

type Looking = { readonly cluster: ClusterReader; readonly signal: AbortSignal; readonly nowMs: number };

/** Follows a trail to what a person would look up, by at most three requests. Empty when nothing is said. */
export async function findCause(looking: Looking, trail: Trail): Promise<string> {
  if (trail.through === "replicaSets") {
    const set = newestReplicaSet(await listed(looking, "apps/v1", "ReplicaSet", trail), trail.uid);
    if (set === undefined) return lastWarning(await eventsOf(looking, trail.namespace, trail.uid));
    return causeBehind(looking, trail, set.metadata.uid ?? "", set);
  }
  if (trail.through === "pods") return causeBehind(looking, trail, trail.uid, undefined);
  const events = await eventsOf(looking, trail.namespace, trail.uid);
  return trail.kind === "PersistentVolumeClaim" ? lastSaid(events) : lastWarning(events);
}

async function causeBehind(
  looking: Looking,
  trail: Trail,
  owner: string,
  set: KubeObject | undefined,
): Promise<string> {
  const sick = worstPod(await listed(looking, "v1", "Pod", trail), owner, looking.nowMs);
  if (sick === undefined) return causeOfNoPods(set, await eventsOf(looking, trail.namespace, owner));
  return causeOfPod(sick, await eventsOf(looking, trail.namespace, sick.pod.metadata.uid ?? ""));
}

async function listed(
  { cluster, signal }: Looking,
  apiVersion: string,
  kind: string,
  { namespace, selector }: Trail,
): Promise<readonly KubeObject[]> {
  const info = await cluster.kindOf(apiVersion, kind, signal);
  if (info === undefined) return [];
  return (await cluster.list(info, { namespace, labelSelector: selector, limit: looked, signal })).items;
}

async function eventsOf({ cluster, signal }: Looking, namespace: string, uid: string): Promise<readonly KubeObject[]> {
  const info = await cluster.kindOf("v1", "Event", signal);
  if (info === undefined) return [];
  // Events about what is in no namespace are in this one.
  const place = namespace === "" ? "default" : namespace;
  const fieldSelector = `involvedObject.uid=${uid}`;
  return (await cluster.list(info, { namespace: place, fieldSelector, limit: looked, signal })).items;
}
