import { keysOf, type Stage } from "#agent/apply/order.ts";
import { parseRefKey, refKey, refOf } from "#proto/object.ts";
import type { Work } from "./work.ts";
import type { Context } from "./context.ts";
import type { ApplicationState } from "./model.ts";

/** From so many on, one LIST is cheaper than asking for each. */
const worthAList = 4;
/** Clusters with more Namespaces than this are asked for each: the answer would be larger than what it saves. */
const longestList = 500;
/** Others may have made it since: after a slow server's answers it is looked for by name. */
const absentMs = 2_000;

/** Before a stage, and not earlier: what is absent now may be made by others while the stages before it take their time. */
export async function lookForAbsent(
  context: Context,
  application: ApplicationState,
  stage: Stage,
  work: Work,
): Promise<void> {
  work.lookedFor = stage;
  const isUnknown = (key: string): boolean => (application.head?.inventory.get(key)?.uid ?? "") === "";
  const unknown = [...keysOf(stage.objects)].filter((key) => work.todo.has(key) && isUnknown(key));
  const absent = await absentNamespaces(context, unknown);
  for (const key of absent) work.absent.set(key, context.clock.monotonic());
}

/** Told once of each: whoever tries again looks for it by name. */
export function isKnownAbsent({ clock }: Context, { absent }: Work, key: string): boolean {
  const seenAt = absent.get(key);
  absent.delete(key);
  return seenAt !== undefined && clock.monotonic() - seenAt < absentMs;
}

/** Those of some Namespaces, by their keys, that are not there: nobody else's can be met by making them. */
async function absentNamespaces(context: Context, keys: readonly string[]): Promise<ReadonlySet<string>> {
  const namespaces = keys.filter((key) => {
    const { group, kind } = parseRefKey(key);
    return group === "" && kind === "Namespace";
  });
  if (namespaces.length < worthAList) return new Set();
  try {
    const kind = await context.cluster.kindOf("v1", "Namespace", context.signal);
    if (kind === undefined) return new Set();
    const { items } = await context.cluster.list(kind, { limit: longestList, signal: context.signal });
    if (items.length >= longestList) return new Set();
    const there = new Set(items.map((object) => refKey(refOf(object))));
    return new Set(namespaces.filter((key) => !there.has(key)));
  } catch {
    // Who may not list them may still ask for each, and is told then what is wrong.
    context.signal.throwIfAborted();
    return new Set();
  }
}
