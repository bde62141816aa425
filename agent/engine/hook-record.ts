import type { Head, HooksDone } from "#agent/state/head.ts";
import type { HookPhase } from "#proto/hooks.ts";
import { saveHead, type Context } from "./context.ts";
import type { BundleHook, Bundle } from "./bundles.ts";
import type { ApplicationState } from "./model.ts";

/** What is known of the hooks of this bundle here: of an older digest nothing counts any more. */
export function hooksDone({ head }: ApplicationState, { digest }: Pick<Bundle, "digest">): HooksDone {
  if (head?.hooks?.digest === digest) return head.hooks;
  return { digest, install: isNew(head), done: [], failed: {} };
}

/** Nothing is there yet, or a first apply that was never complete. */
const isNew = (head: Head | undefined): boolean =>
  head === undefined || (!head.complete && (head.hooks?.install === true || head.inventory.size === 0));

export const nameOf = (phase: HookPhase, { key }: BundleHook): string => `${phase} ${key}`;

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

async function save(context: Context, application: ApplicationState, hooks: HooksDone): Promise<void> {
  // In force before it is stored, like every head.
  application.head = { ...application.head!, hooks };
  await saveHead(context, application, application.head);
}
