import type { Context } from "./context.ts";
import { parseRefKey, refKey, refOf } from "#proto/object.ts";

/** From so many on, one LIST is cheaper than asking for each. */
const worthAList = 4;
/** Clusters with more Namespaces than this are asked for each: the answer would be larger than what it saves. */
const longestList = 500;

/** Those of some Namespaces, by their keys, that are not there: nobody else's can be met by making them. */
export async function absentNamespaces(context: Context, keys: readonly string[]): Promise<ReadonlySet<string>> {
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
