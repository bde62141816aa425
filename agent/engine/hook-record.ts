import type { HooksDone } from "#agent/state/head.ts";
import type { HookPhase } from "#proto/hooks.ts";
import type { Revision } from "#proto/ids.ts";
import { saveHead, type Context } from "./context.ts";
import type { BundleHook, Bundle } from "./bundles.ts";
import type { ApplicationState } from "./model.ts";

/** What is known of the hooks of this bundle here: of an older digest nothing counts any more. */
export function hooksDone(application: ApplicationState, { digest }: Pick<Bundle, "digest">): HooksDone {
  const { head, recovered } = application;
  const known = head === undefined ? recovered : head.hooks;
  return known?.digest === digest ? known : { digest, install: isNew(application), done: [], failed: {} };
}

/** Nothing is there yet, or a first apply that was never complete. */
const isNew = ({ head, isTraced }: ApplicationState): boolean =>
  head === undefined
    ? !isTraced
    : !head.complete && (head.hooks === undefined ? head.inventory.size === 0 : head.hooks.install);

/** `removal`: whose hooks these are. One that was taken back and asked for again runs them again. */
export const nameOf = (phase: HookPhase, { key }: BundleHook, removal: Revision | undefined): string =>
  removal === undefined ? `${phase} ${key}` : `${phase} ${removal} ${key}`;

/** Remembers that a hook is done: it is not run again for this digest, whatever happens to the agent. */
export async function noteDone(
  context: Context,
  application: ApplicationState,
  bundle: Bundle,
  name: string,
): Promise<void> {
  const { [name]: _failed, ...failed } = hooksDone(application, bundle).failed;
  await save(context, application, {
    ...hooksDone(application, bundle),
    done: [...hooksDone(application, bundle).done, name],
    failed,
  });
}

export async function noteFailed(
  context: Context,
  application: ApplicationState,
  bundle: Bundle,
  failure: { readonly name: string; readonly uid: string; readonly because: string },
): Promise<void> {
  const known = hooksDone(application, bundle);
  const { name, uid, because } = failure;
  await save(context, application, { ...known, failed: { ...known.failed, [name]: { uid, because } } });
}

/**
 * Before a hook makes anything: whatever becomes of this bundle, what it leaves is found again, and an agent that starts in
 * the middle goes on with this digest, with the document that runs it, and not with the one before.
 */
export async function noteBegun(context: Context, application: ApplicationState, bundle: Bundle): Promise<void> {
  const { hooks, made = {} } = application.head!;
  if (hooks?.digest === bundle.digest && [...bundle.hookKeys].every((key) => Object.hasOwn(made, key))) return;
  const known = { hooks: hooksDone(application, bundle), made: madeWith(application, bundle) };
  await saveHead(context, application, { ...application.head!, ...known });
}

type Made = Readonly<Record<string, string>>;

/** What hooks may have made when those of this bundle have run too. */
export const madeWith = ({ head }: ApplicationState, bundle: Bundle): Made => ({ ...head?.made, ...madeBy(bundle) });

/** Heads of earlier agents do not say it: then it is what the hooks of the bundle that ran may have made. */
export function madeBefore({ head, bundle }: ApplicationState): Made {
  if (head?.made !== undefined || bundle === undefined) return head?.made ?? {};
  const made = madeBy(bundle);
  bundle.forget();
  return made;
}

const madeBy = (bundle: Bundle): Made =>
  bundle.hookKeys.size === 0
    ? {}
    : Object.fromEntries(bundle.hooks().map(({ key, object }) => [key, object.apiVersion]));

async function save(context: Context, application: ApplicationState, hooks: HooksDone): Promise<void> {
  const { document } = context.model;
  const kept = { hooks, ...(document === undefined ? {} : { highWater: document.highWater }) };
  await context.store.saveHooks(application.name, kept, context.signal);
  // In force once it is stored: what is not is asked of the cluster again, and nothing that follows may come before it.
  await saveHead(context, application, { ...application.head!, hooks });
}
