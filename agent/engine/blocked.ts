import { describeRef, parseRefKey } from "#proto/object.ts";
import type { Bundle } from "./bundles.ts";
import type { Context } from "./context.ts";
import { bundleOf, entryOf, type ApplicationState } from "./model.ts";

/** Why a bundle may not be applied here at all. */
export function blockedBecause(context: Context, application: ApplicationState, bundle: Bundle): string | undefined {
  const all = [...bundle.keys, ...bundle.hookKeys];
  for (const other of context.model.applications.values()) {
    const entry = entryOf(context.model, other.name);
    if (other === application || entry?.kind !== "run") continue;
    const theirs = bundleOf(other, entry) ?? other.bundle;
    const shared = all.find((key) => theirs?.keys.has(key) === true || theirs?.hookKeys.has(key) === true);
    if (shared === undefined) continue;
    // The one that owns it goes on; of two newcomers the first by name does.
    const isMine = hasMade(application, shared) && !hasMade(other, shared);
    const isTheirs = hasMade(other, shared) && !hasMade(application, shared);
    if (isTheirs || (!isMine && other.name < application.name))
      return `${describeRef(parseRefKey(shared))} is also in ${other.name}: an object belongs to one Application`;
  }
  return undefined;
}

/** As an object of its own, or by a hook. */
const hasMade = ({ head }: ApplicationState, key: string): boolean =>
  head?.inventory.has(key) === true || Object.hasOwn(head?.made ?? {}, key);
