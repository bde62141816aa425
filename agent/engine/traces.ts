import type { Bundle } from "./bundles.ts";
import { addressOfKey, type Context } from "./context.ts";
import { ownersOf, type ApplicationState } from "./model.ts";
import { isOurs } from "./send.ts";

/** Asked about at once. */
const atOnce = 8;

/**
 * Whether something of an Application is here that no inventory names: it was lost, or a Removal let its objects go. What
 * moves here from another Application is none of it.
 */
export async function isTraced(context: Context, application: ApplicationState, bundle: Bundle): Promise<boolean> {
  if (application.memory === "lost") return true;
  // Nobody else asks.
  if (!bundle.hooks().some(({ hook }) => hook.phases.some(({ on }) => on !== "any"))) return false;
  const unowned = [...bundle.desired()].filter(([key]) => ownersOf(context.model, key).length === 0);
  for (let from = 0; from < unowned.length; from += atOnce) {
    const asked = unowned
      .slice(from, from + atOnce)
      .map(([key, { object }]) => context.cluster.get(addressOfKey(key, object), context.signal));
    if ((await Promise.all(asked)).some((there) => there !== undefined && isOurs(there, context))) return true;
  }
  return false;
}
