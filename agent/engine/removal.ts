import { planPrune } from "#agent/apply/prune.ts";
import type { RemoveEntry } from "#proto/desired-state.ts";
import { saveHead, type Context } from "./context.ts";
import { deleteAll } from "./delete-owned.ts";
import { neededBy } from "./depends.ts";
import { elsewhere, takersOf, unknownBundle } from "./elsewhere.ts";
import { deleteLeftovers } from "./hook-objects.ts";
import { HookFailed, runHooks } from "./hooks.ts";
import { bundleOf, entryOf, settle, type ApplicationState } from "./model.ts";
import { goesOnLater, letGo, release, tell, type Outcome } from "./prune-outcome.ts";

/** A Removal: the whole inventory is deleted, or let go. The commit is the consent, so no budget applies. */
export async function removeWhole(context: Context, application: ApplicationState, entry: RemoveEntry): Promise<void> {
  const run = new AbortController();
  application.run = run;
  try {
    await begin({ context, application, entry, signal: AbortSignal.any([run.signal, context.signal]) });
  } catch (error) {
    // A newer document may want what is left: its own reconcile follows.
    if (run.signal.aborted) return;
    if (!(error instanceof HookFailed)) throw error;
    const because = `nothing more is deleted: ${error.message}`;
    // No newer digest will come for it: it is tried again by the clock, as whatever fails in passing is.
    if (error.isRefused) throw new Error(because, { cause: error });
    settle(context, application, "Failed", because);
  } finally {
    application.run = undefined;
  }
}

/** One Removal on its way; the signal ends it. */
type Removing = {
  readonly context: Context;
  readonly application: ApplicationState;
  readonly entry: RemoveEntry;
  readonly signal: AbortSignal;
};

async function begin(removing: Removing): Promise<void> {
  const { context, application, entry } = removing;
  if (application.head === undefined) {
    if (application.memory !== "lost") return settle(context, application, "Removed", application.reason);
    const because =
      "nothing is deleted: what it owns is not known, because its inventory cannot be read; run it once more, so that its objects are taken over again, and remove it then";
    return settle(context, application, "Blocked", because);
  }
  // It was about to be taken into use.
  if (application.head.run !== null) application.bundle ??= bundleOf(application, application.head.run);
  const waits = waitsFor(removing);
  application.waitsFor = new Set(waits?.others);
  settle(context, application, "Removing", waits?.because ?? `asked for by ${entry.commit.slice(0, 7)}`);
  if (waits === undefined) await remove(removing);
}

/** Why nothing is deleted yet, and the Applications whose change may end that. */
function waitsFor({ context: { model }, application, entry }: Removing): Waits | undefined {
  const unknown = unknownBundle(model, application);
  if (unknown !== undefined)
    return { because: `waits: the bundle of ${unknown} is not known, and may hold what would be deleted`, others: [] };
  const needing = neededBy(model, application);
  if (needing.length > 0)
    return { because: `waits until ${needing.join(" and ")}, which needs it, is removed`, others: needing };
  if (entry.mode === "orphan") return undefined;
  const takers = takersOf(model, application);
  if (takers.size > 0)
    return { because: `waits until ${[...takers].join(" and ")} has taken over what moves there`, others: takers };
  if (application.head?.hooks !== undefined && application.bundle === undefined)
    return {
      because: "waits: its bundle is not known, and the hooks that run before a deletion are in it",
      others: [],
    };
  return undefined;
}

type Waits = { readonly because: string; readonly others: Iterable<string> };

async function remove(removing: Removing): Promise<void> {
  const { context, application, entry } = removing;
  await keepDocument(context);
  await hooks(removing, "delete");
  const outcome = await takeAway(removing);
  tell(context, application, outcome);
  if (outcome.stopped !== undefined) {
    application.reason = goesOnLater(context, application, outcome.stopped);
    await saveHead(context, application, { ...application.head!, complete: false });
    return context.touched(application);
  }
  await hooks(removing, "deleted");
  if (entry.mode === "delete") {
    const deleted = await deleteLeftovers(context, application, Object.entries(application.head!.made ?? {}));
    tell(context, application, { deleted, orphaned: [], stopped: undefined });
  }
  await forget(context, application);
}

/**
 * Beside all heads, because this one goes: an agent that starts in the middle, or after, goes on with the Removal, also
 * without a hub, and makes nothing again.
 */
async function keepDocument({ model, store, signal }: Context): Promise<void> {
  const { bytes } = model.document!;
  await store.saveEnvelope(bytes, signal);
  if (model.unsaved === bytes) model.unsaved = undefined;
}

async function hooks({ context, application, entry, signal }: Removing, phase: "delete" | "deleted"): Promise<void> {
  const { head, bundle } = application;
  if (entry.mode !== "delete" || head === undefined || head.run === null || bundle === undefined) return;
  await runHooks({ context, application, entry: head.run, bundle, removal: entry.commit, signal }, phase);
}

async function takeAway({ context, application, entry, signal }: Removing): Promise<Outcome> {
  const { inventory, run } = application.head!;
  const others = elsewhere(context.model, application);
  const plan = planPrune({ inventory, wanted: new Set(), ...others, budget: "none" });
  const candidates = plan.kind === "prune" ? plan.candidates : [];
  if (entry.mode === "orphan") return letGo(candidates);
  return deleteAll(context, application, candidates, run?.delivery.prune.protected ?? [], signal);
}

async function forget(context: Context, application: ApplicationState): Promise<void> {
  await context.store.removeHead(application.name, context.signal);
  for (const key of application.head?.inventory.keys() ?? []) release(context, application, key);
  application.head = undefined;
  // What a newer document runs again has been fetched already.
  const newest = entryOf(context.model, application.name);
  application.next = newest?.kind === "run" ? bundleOf(application, newest) : undefined;
  application.bundle = undefined;
  application.recovered = undefined;
  application.isTraced = false;
  application.phase = "Removed";
  context.touched(application);
}
