import { isKept, isProtected } from "#agent/apply/prune.ts";
import { jobHealth } from "#agent/health/jobs.ts";
import { groupOf, describeRef, parseRefKey, refKey, refOf, type KubeObject, type ObjectRef } from "#proto/object.ts";
import type { BundleHook } from "./bundles.ts";
import { addressOfKey, writerOf, type Context } from "./context.ts";
import type { ApplicationState } from "./model.ts";
import { isOurs } from "./send.ts";

/** Whose hook made an object; with our label, what tells a leftover of ours from anybody else's object. */
const ownerAnnotation = "plumbline.dev/hook-of";
/** For which digest and phase, and of a Removal for which commit. */
const runAnnotation = "plumbline.dev/hook-run";

/** The object of a hook as it is made for this run. */
export function marked(hook: BundleHook, application: ApplicationState, run: string): KubeObject {
  const { object } = hook;
  const annotations = { ...object.metadata.annotations, [ownerAnnotation]: application.name, [runAnnotation]: run };
  return { ...object, metadata: { ...object.metadata, annotations } };
}

export const isOfRun = (object: KubeObject, run: string): boolean =>
  object.metadata.annotations?.[runAnnotation] === run && object.metadata.deletionTimestamp === undefined;

/** Whether an object was made by a hook of this Application, or was an object of its own before it became a hook. */
export function isMade(context: Context, application: ApplicationState, object: KubeObject): boolean {
  if (!isOurs(object, context)) return false;
  const owned = application.head?.inventory.get(refKey(refOf(object)));
  const isOwn = owned !== undefined && owned.uid === object.metadata.uid;
  return object.metadata.annotations?.[ownerAnnotation] === application.name || isOwn;
}

/** Jobs and Pods end; whatever else a hook makes is done once it is there. */
export const isAwaited = ({ apiVersion, kind }: Pick<KubeObject, "apiVersion" | "kind">): boolean =>
  (kind === "Job" && groupOf(apiVersion) === "batch") || (kind === "Pod" && apiVersion === "v1");

export type Verdict = { readonly ok: true } | { readonly ok: false; readonly because: string };

/** Undefined while it still runs. */
export function verdictOf(object: KubeObject): Verdict | undefined {
  if (!isAwaited(object)) return { ok: true };
  if (object.kind === "Job") {
    const { state, reason } = jobHealth(object);
    if (state === "Failed") return { ok: false, because: reason };
    return state === "Current" && reason === "Complete" ? { ok: true } : undefined;
  }
  const { phase, message } = (object["status"] ?? {}) as { phase?: string; message?: string };
  if (phase === "Succeeded") return { ok: true };
  return phase === "Failed" ? { ok: false, because: message ?? "its containers failed" } : undefined;
}

/**
 * Deletes what a hook of this Application made; never another's object, nor one of a kind that takes data with it.
 * `isSpared`: asked of the living object.
 */
export async function deleteMade(
  context: Context,
  application: ApplicationState,
  key: string,
  apiVersion: string,
  isSpared: (there: KubeObject) => boolean = () => false,
): Promise<"deleted" | "left"> {
  const { cluster, signal } = context;
  const ref = parseRefKey(key);
  const address = addressOfKey(key, { apiVersion });
  const there = await cluster.get(address, signal);
  if (there === undefined || isProtected(ref) || !isMade(context, application, there) || isSpared(there)) return "left";
  if (there.metadata.deletionTimestamp !== undefined) return "deleted";
  if (!context.breaker.take())
    throw new Error(`the agent's limit of deletions an hour is reached: ${describeRef(ref)} stays for now`);
  await writerOf(context, application).delete(address, { uid: there.metadata.uid ?? "", signal });
  return "deleted";
}

/** What hooks left behind: of these names, with their apiVersions. Gives what was deleted. */
export async function deleteLeftovers(
  context: Context,
  application: ApplicationState,
  made: readonly (readonly [key: string, apiVersion: string])[],
): Promise<ObjectRef[]> {
  const deleted: ObjectRef[] = [];
  for (const [key, apiVersion] of made) {
    const what = await deleteMade(context, application, key, apiVersion, (there) => isKept(there.metadata.annotations));
    if (what === "deleted") deleted.push(parseRefKey(key));
    context.model.hooks.delete(key);
  }
  return deleted;
}
