import type { Head, HooksDone, Owned } from "#agent/state/head.ts";
import type { RunEntry } from "#proto/desired-state.ts";
import type { Bundle } from "./bundles.ts";
import { saveHead, type Context } from "./context.ts";
import { hooksDone, madeWith } from "./hook-record.ts";
import { takeBundleIntoUse } from "./leave-applied.ts";
import { track, type ApplicationState, type Model } from "./model.ts";
import { isTraced } from "./traces.ts";

/** A first apply that begins with hooks: what they leave is found again by the bundle, so that is stored before them. */
export async function beginWithHooks(
  context: Context,
  application: ApplicationState,
  entry: RunEntry,
  bundle: Bundle,
): Promise<void> {
  if (application.head !== undefined || bundle.phases.size === 0) return;
  application.isTraced = await isTraced(context, application, bundle);
  if (!bundle.phases.has("pre")) return;
  await writeIntent(context, application, entry, bundle, new Set());
  takeBundleIntoUse(application, bundle);
}

/**
 * What is about to happen is written down first, so that a crash in the middle orphans nothing and tells no false drift: the
 * bundle, then the head that names it.
 */
export async function writeIntent(
  context: Context,
  application: ApplicationState,
  entry: RunEntry,
  bundle: Bundle,
  todo: ReadonlySet<string>,
): Promise<void> {
  const slices = context.store.saveSlices(entry.address, bundle.slices, context.signal);
  // Heard where the head waits for it.
  slices.catch(() => undefined);
  const inventory = new Map(application.head?.inventory);
  for (const key of todo) {
    const { object, once: isOnce } = bundle.desired().get(key)!;
    const { apiVersion } = object;
    const before = inventory.get(key) ?? ownedByAnother(context.model, application, key);
    const { uid = "", applied = "", yielded, once = isOnce } = before ?? {};
    inventory.set(key, {
      apiVersion,
      uid,
      applied,
      baseline: null,
      ...(yielded === undefined ? {} : { yielded }),
      ...(once === undefined ? {} : { once }),
    });
    track(context.model, key, application.name);
  }
  // In force before it is stored: what a heal learns meanwhile goes into this inventory, and is not lost with the last one.
  const hooks = hooksDone(application, bundle);
  application.head = {
    application: application.name,
    environment: entry.environment,
    run: entry,
    complete: false,
    inventory,
    ...hooksOf(bundle, hooks),
    ...madeOf(bundle.hookKeys.size === 0 ? application.head?.made : madeWith(application, bundle)),
  };
  await saveHead(context, application, application.head, slices);
}

/** An object that moves here from another Application keeps what is known of it: it is no first contact. */
function ownedByAnother(model: Model, application: ApplicationState, key: string): Owned | undefined {
  for (const other of model.applications.values())
    if (other !== application && other.head?.inventory.has(key)) return other.head.inventory.get(key);
  return undefined;
}

const hooksOf = ({ phases }: Bundle, hooks: HooksDone): { hooks?: HooksDone } => (phases.size === 0 ? {} : { hooks });
const madeOf = (made: Head["made"]): Pick<Head, "made"> => (made === undefined ? {} : { made });
