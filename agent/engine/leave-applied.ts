import type { RunEntry } from "#proto/desired-state.ts";
import { canonicalJson } from "#proto/json.ts";
import { lookAtMarked, takeFromOthers } from "./after-apply.ts";
import type { Bundle } from "./bundles.ts";
import type { Context } from "./context.ts";
import { settle, type ApplicationState } from "./model.ts";

/** Its objects are what the newest document wants: only that document is remembered. */
export function leaveAsItIs(context: Context, application: ApplicationState, entry: RunEntry, bundle: Bundle): void {
  application.head = { ...application.head!, run: entry };
  takeBundleIntoUse(application, bundle);
  takeFromOthers(context, application);
  lookAtMarked(context, application, "isUnjudged");
  settle(context, application, "Applied", "");
}

/**
 * Most Applications are not what a new document is about: those are left as they are without opening their bundles. False
 * when there is any doubt, and the bundle itself is to be asked.
 */
export async function leaveApplied(
  context: Context,
  application: ApplicationState,
  newest: RunEntry,
  bundle: Bundle,
  signal: AbortSignal,
): Promise<boolean> {
  if (!isWhole(application, newest, bundle)) return false;
  for (const { apiVersion, kind } of bundle.kinds)
    if ((await context.cluster.servedKind(apiVersion, kind, context.signal)) === undefined) return false;
  signal.throwIfAborted();
  // Asking took time.
  if (!isWhole(application, newest, bundle)) return false;
  const { address, slices, sealedKey } = bundle.run;
  leaveAsItIs(context, application, { ...newest, address, slices, sealedKey }, bundle);
  return true;
}

function isWhole(application: ApplicationState, newest: RunEntry, bundle: Bundle): boolean {
  const { head, phase, problems } = application;
  return (
    phase === "Applied" &&
    problems.size === 0 &&
    application.applied === bundle &&
    application.bundle === bundle &&
    head?.complete === true &&
    sameRun(head.run, newest) &&
    !hasLeftovers(application, newest, bundle) &&
    head.inventory.size === bundle.keys.size &&
    [...bundle.keys].every((key) => (head.inventory.get(key)?.baseline ?? null) !== null)
  );
}

/** Hooks of a revision that was called off, or failed, have left something that is to go. */
export const hasLeftovers = ({ head }: ApplicationState, { delivery }: RunEntry, bundle: Bundle): boolean =>
  delivery.prune.enabled && Object.keys(head?.made ?? {}).some((key) => !isNamed(bundle, key));

export const isNamed = ({ keys, hookKeys }: Bundle, key: string): boolean => keys.has(key) || hookKeys.has(key);

/** The same objects under the same policy. Another revision may give them, and sealed keys differ each time they are sealed. */
export const sameRun = (a: RunEntry | null | undefined, b: RunEntry): boolean =>
  a !== null &&
  a !== undefined &&
  a.digest === b.digest &&
  a.environment === b.environment &&
  canonicalJson(a.delivery) === canonicalJson(b.delivery);

export function takeBundleIntoUse(application: ApplicationState, bundle: Bundle): void {
  application.bundle = bundle;
  // A newer one may have come since.
  if (application.next === bundle) application.next = undefined;
}
