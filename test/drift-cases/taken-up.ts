import type { KubeObject } from "#proto/object.ts";
import type { World } from "./world.ts";

/**
 * Waits until the Deployment controller has noted its revision in an object, a change of content that belongs to no case, and
 * has said in its status all that it ever says where no node runs a Pod: nothing of it comes later.
 */
export async function takenUp(world: World, object: KubeObject): Promise<void> {
  if (world.backend.plane === undefined) return;
  await world.until(async () => isTakenUp(await world.get(object)));
  await world.caughtUp();
}

function isTakenUp({ metadata, ...content }: KubeObject): boolean {
  const { replicas } = content["spec"] as { replicas?: number };
  const status = (content["status"] ?? {}) as {
    observedGeneration?: number;
    unavailableReplicas?: number;
    conditions?: { reason: string }[];
  };
  const said = (status.conditions ?? []).map(({ reason }) => reason);
  return (
    metadata.annotations?.["deployment.kubernetes.io/revision"] !== undefined &&
    status.observedGeneration === metadata.generation &&
    status.unavailableReplicas === replicas &&
    ["MinimumReplicasUnavailable", "ReplicaSetUpdated"].every((reason) => said.includes(reason))
  );
}
