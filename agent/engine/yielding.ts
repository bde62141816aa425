import { foreignFields, type ForeignField } from "#agent/drift/foreign.ts";
import { isWithin, valueAt } from "#agent/drift/paths.ts";
import { builtInYields, owns, replicasPath, withoutYielded } from "#agent/drift/yields.ts";
import type { Owned } from "#agent/state/head.ts";
import type { Delivery } from "#proto/desired-state.ts";
import { parseRefKey, type KubeObject } from "#proto/object.ts";
import type { Desired } from "./bundles.ts";
import { record, type Context } from "./context.ts";
import { exceptionFor } from "./exceptions.ts";
import type { ApplicationState, Tracked } from "./model.ts";

/** Paths of this object that controllers of the cluster may take from us, now. */
export function yieldablePaths(context: Context, key: string, object: KubeObject): string[] {
  const isScaled = valueAt(object, replicasPath) !== undefined && context.autoscalers.scales(key);
  return [...builtInYields(object), ...(isScaled ? [replicasPath] : [])];
}

/** What to apply to the object as it is: without what a controller has taken. */
export function yielding(context: Context, key: string, desired: Desired, live: KubeObject | undefined): Desired {
  const { object, yielded } = withoutYielded(desired.object, live, yieldablePaths(context, key, desired.object));
  return yielded.length === 0 ? desired : { ...desired, object, yielded };
}

/** Something was let go, and the reason may be gone: the autoscaler, or the exception's time. */
export function mayOwnAgain(context: Context, key: string, owned: Owned, desired: KubeObject): boolean {
  if (owned.yielded === undefined) return false;
  const still = new Set(yieldablePaths(context, key, desired));
  return owned.yielded.some((path) => !still.has(path));
}

/** A scale may be seen before the autoscaler that made it: then the server is asked, once a change. Gives whether it was. */
export async function knowScaler(
  context: Context,
  key: string,
  desired: KubeObject,
  seen: KubeObject,
): Promise<boolean> {
  if (valueAt(desired, replicasPath) === undefined || owns(seen, replicasPath)) return false;
  if (context.autoscalers.scales(key)) return false;
  await context.autoscalers.look(parseRefKey(key).namespace);
  return true;
}

/** Whether what others have in its objects is taken away, and told as drift; in report mode it is only told, as foreign. */
export const isStripped = (delivery: Delivery | undefined): boolean =>
  delivery?.strict === true && delivery.drift === "correct";

/** Fields of others in an object of ours, but for what is yielded or excepted. */
export function foreignOf(
  context: Context,
  key: string,
  owned: Owned | undefined,
  delivery: Delivery,
  object: KubeObject,
): ForeignField[] {
  const yields = [...builtInYields(object), ...(owned?.yielded ?? [])];
  const isScaled = context.autoscalers.scales(key);
  const now = context.clock.now();
  return foreignFields(object, isScaled ? [...yields, replicasPath] : yields).filter(
    ({ path }) =>
      exceptionFor(delivery, parseRefKey(key), path, now) === undefined && !yields.some((one) => isWithin(path, one)),
  );
}

/** Says which fields of others an object holds, whenever they are others than last time. It is no drift. */
export function tellForeign(
  context: Context,
  application: ApplicationState,
  tracked: Tracked,
  fields: readonly ForeignField[],
): void {
  const said = fields.map(({ path, tool }) => `${path} by ${tool}`).join(", ");
  if (said === tracked.foreign) return;
  tracked.foreign = said;
  if (said === "") return;
  const { kind, namespace, name } = parseRefKey(tracked.key);
  const object = `${kind} ${namespace === "" ? "" : `${namespace}/`}${name}`;
  record(context, application, { $case: "notice", value: { text: `${object}: foreign fields: ${said}` } });
}
