import { isPruneAllowed, isProtected, planPrune } from "#agent/apply/prune.ts";
import type { Owned } from "#agent/state/head.ts";
import type { RemoveEntry, RunEntry } from "#proto/desired-state.ts";
import { describeRef, parseRefKey, type ObjectRef } from "#proto/object.ts";
import type { Desired } from "./bundles.ts";
import { addressOfKey, record, saveHead, type Context } from "./context.ts";
import { entryOf, setOwned, type ApplicationState, type Model } from "./model.ts";
import { isOurs } from "./send.ts";

type Outcome = { readonly deleted: ObjectRef[]; readonly orphaned: ObjectRef[]; readonly stopped: string | undefined };

/**
 * Deletes what the inventory holds beyond the newest bundle. Gives a sentence when something was left for a reason that
 * a person must know.
 */
export async function pruneSurplus(
  context: Context,
  application: ApplicationState,
  desired: ReadonlyMap<string, Desired>,
  entry: RunEntry,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { inventory } = application.head!;
  const wanted = new Set(desired.keys());
  if (![...inventory.keys()].some((key) => !wanted.has(key))) return undefined;
  const { prune } = entry.delivery;
  if (!prune.enabled) return "pruning is off: what was removed in Git stays";
  const unknown = unknownBundle(context.model, application);
  if (unknown !== undefined)
    return `nothing is pruned: the bundle of ${unknown} is not known, and may hold what was removed here`;
  const plan = planPrune({
    inventory,
    wanted,
    ...elsewhere(context.model, application),
    budget: { percent: prune.budgetPercent, allowPrune: entry.delivery.allowPrune },
  });
  for (const key of plan.moved) setOwned(context.model, application.name, key, null);
  if (plan.kind === "blocked") {
    const value = {
      deleted: [],
      orphaned: [],
      blocked: plan.because,
      planHash: plan.planHash,
      plan: plan.keys.map(parseRefKey),
    };
    record(context, application, { $case: "pruned", value });
    return plan.because;
  }
  if (plan.candidates.length === 0) return undefined;
  const isHealthy = await waitForHealth(context, wanted, entry.delivery.timeoutMs, signal);
  const outcome = await deleteAll(context, application, plan.candidates, prune.protected, signal);
  tell(context, application, outcome);
  application.counts.pruned = outcome.deleted.length;
  if (outcome.stopped !== undefined) return outcome.stopped;
  return isHealthy ? undefined : `pruned although not everything was healthy within ${entry.delivery.timeoutMs} ms`;
}

/** A Removal: the whole inventory is deleted, or let go. The commit is the consent, so no budget applies. */
export async function removeWhole(context: Context, application: ApplicationState, entry: RemoveEntry): Promise<void> {
  const { head } = application;
  if (head === undefined) {
    application.phase = "Removed";
    context.touched(application);
    return;
  }
  application.phase = "Removing";
  application.reason = `asked for by ${entry.commit.slice(0, 7)}`;
  context.touched(application);
  const unknown = unknownBundle(context.model, application);
  if (unknown !== undefined) {
    application.reason = `waits: the bundle of ${unknown} is not known, and may hold what would be deleted`;
    return context.touched(application);
  }
  const plan = planPrune({
    inventory: head.inventory,
    wanted: new Set(),
    ...elsewhere(context.model, application),
    budget: "none",
  });
  const candidates = plan.kind === "prune" ? plan.candidates : [];
  const outcome =
    entry.mode === "orphan"
      ? letGo(candidates)
      : await deleteAll(context, application, candidates, head.run?.delivery.prune.protected ?? [], context.signal);
  tell(context, application, outcome);
  if (outcome.stopped !== undefined) {
    application.reason = outcome.stopped;
    await saveHead(context, application, { ...application.head!, complete: false });
    return context.touched(application);
  }
  for (const key of head.inventory.keys()) context.model.tracked.delete(key);
  await context.store.removeHead(application.name, context.signal);
  application.head = undefined;
  application.bundle = undefined;
  application.phase = "Removed";
  context.touched(application);
}

/** What other Applications here want or own. Held and absent ones keep all of their inventory. */
function elsewhere(
  model: Model,
  application: ApplicationState,
): { wantedElsewhere: Set<string>; ownedElsewhere: Set<string> } {
  const others = [...model.applications.values()].filter((other) => other !== application);
  const running = others.filter(({ name }) => entryOf(model, name)?.kind === "run");
  const confirmed = others
    .flatMap(({ head }) => [...(head?.inventory ?? [])])
    .filter(([, { baseline }]) => baseline !== null);
  return {
    wantedElsewhere: new Set(running.flatMap(({ bundle }) => [...(bundle?.keys ?? [])])),
    ownedElsewhere: new Set(confirmed.map(([key]) => key)),
  };
}

/** An Application that runs here by the newest document, and whose objects are not known. */
function unknownBundle(model: Model, application: ApplicationState): string | undefined {
  const entries = model.document?.state.entries ?? [];
  const unknown = entries.find(
    (entry) =>
      entry.kind === "run" &&
      entry.application !== application.name &&
      model.applications.get(entry.application)?.bundle?.digest !== entry.digest,
  );
  return unknown?.application;
}

async function waitForHealth(
  context: Context,
  keys: ReadonlySet<string>,
  limitMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  const areCurrent = (): boolean =>
    [...keys].every((key) => context.model.tracked.get(key)?.health.state === "Current");
  return context.until(areCurrent, limitMs, signal);
}

async function deleteAll(
  context: Context,
  application: ApplicationState,
  candidates: readonly { key: string; owned: Owned }[],
  protectedByPolicy: readonly string[],
  signal: AbortSignal,
): Promise<Outcome> {
  const outcome = { deleted: [] as ObjectRef[], orphaned: [] as ObjectRef[], stopped: undefined as string | undefined };
  for (const { key, owned } of candidates) {
    signal.throwIfAborted();
    const ref = parseRefKey(key);
    const address = addressOfKey(key, owned);
    // Without a uid (never confirmed) or with a protected kind only the living object can tell.
    const there = owned.uid === "" || isProtected(ref) ? await context.cluster.get(address, context.signal) : undefined;
    if (owned.uid === "" && (there === undefined || !isOurs(there, context))) {
      forget(context, application, key);
      continue;
    }
    if (isProtected(ref) && !isPruneAllowed(ref, there?.metadata.annotations, protectedByPolicy)) {
      if (there !== undefined) outcome.orphaned.push(ref);
      forget(context, application, key);
      continue;
    }
    if (!context.breaker.take()) {
      outcome.stopped = `the agent's limit of deletions an hour is reached: ${describeRef(ref)} and what follows stay for now`;
      return outcome;
    }
    const uid = owned.uid === "" ? (there?.metadata.uid ?? "") : owned.uid;
    if ((await context.cluster.delete(address, { uid, signal: context.signal })) === "deleted")
      outcome.deleted.push(ref);
    forget(context, application, key);
  }
  return outcome;
}

function letGo(candidates: readonly { key: string; owned: Owned }[]): Outcome {
  return { deleted: [], orphaned: candidates.map(({ key }) => parseRefKey(key)), stopped: undefined };
}

function forget(context: Context, application: ApplicationState, key: string): void {
  setOwned(context.model, application.name, key, null);
  if (context.model.tracked.get(key)?.application === application.name) context.model.tracked.delete(key);
}

function tell(context: Context, application: ApplicationState, { deleted, orphaned }: Outcome): void {
  if (deleted.length + orphaned.length === 0) return;
  const value = { deleted, orphaned, blocked: "", planHash: "", plan: [] };
  record(context, application, { $case: "pruned", value });
  context.log.info({ application: application.name, deleted: deleted.length, orphaned: orphaned.length }, "pruned");
}
