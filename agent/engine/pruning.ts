import { isKept, isPruneAllowed, planPrune } from "#agent/apply/prune.ts";
import { forbiddenBy } from "#agent/authority/limits.ts";
import type { Writer } from "#agent/authority/writer.ts";
import type { ObjectAddress } from "#agent/cluster/cluster.ts";
import { reasonOf } from "#lib/log.ts";
import type { Owned } from "#agent/state/head.ts";
import type { RemoveEntry, RunEntry } from "#proto/desired-state.ts";
import type { ApplicationName } from "#proto/ids.ts";
import { describeRef, kindDefinedBy, parseRefKey, refOf, type KubeObject, type ObjectRef } from "#proto/object.ts";
import { untilHealthy } from "./apply-objects.ts";
import type { Bundle } from "./bundles.ts";
import { addressOfKey, record, saveHead, writerOf, type Context } from "./context.ts";
import { bundleOf, disown, entryOf, newestBundle, settle, type ApplicationState, type Model } from "./model.ts";
import { neededBy } from "./depends.ts";
import { goOnWithRoom } from "./deletion-room.ts";
import { deleteLeftovers } from "./hook-objects.ts";
import { HookFailed, runHooks } from "./hooks.ts";
import { isOurs } from "./send.ts";

type Outcome = { readonly deleted: ObjectRef[]; readonly orphaned: ObjectRef[]; readonly stopped: string | undefined };

/**
 * Deletes what the inventory holds beyond the newest bundle. Gives a sentence when something was left for a reason that
 * a person must know.
 */
export async function pruneSurplus(
  context: Context,
  application: ApplicationState,
  bundle: Bundle,
  entry: RunEntry,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { inventory } = application.head!;
  // What became a hook stays as it is.
  for (const key of bundle.hookKeys) if (inventory.has(key)) disown(context.model, application.name, key);
  const wanted = bundle.keys;
  application.prunePlan = "";
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
  for (const key of plan.moved) release(context, application, key);
  if (plan.kind === "blocked") {
    const value = {
      deleted: [],
      orphaned: [],
      blocked: plan.because,
      planHash: plan.planHash,
      plan: plan.keys.map(parseRefKey),
    };
    record(context, application, { $case: "pruned", value });
    application.prunePlan = plan.planHash;
    return plan.because;
  }
  for (const { key } of plan.letGo) release(context, application, key);
  if (plan.candidates.length === 0) {
    tell(context, application, letGo(plan.letGo));
    return undefined;
  }
  const isHealthy = await untilHealthy(context, wanted, entry.delivery.timeoutMs, signal);
  const outcome = await deleteAll(context, application, plan.candidates, prune.protected, signal);
  outcome.orphaned.push(...plan.letGo.map(({ key }) => parseRefKey(key)));
  tell(context, application, outcome);
  application.counts.pruned = outcome.deleted.length;
  if (outcome.stopped !== undefined) return goesOnLater(context, application, outcome.stopped);
  return isHealthy ? undefined : `pruned although not everything was healthy within ${entry.delivery.timeoutMs} ms`;
}

/** A Removal: the whole inventory is deleted, or let go. The commit is the consent, so no budget applies. */
export async function removeWhole(context: Context, application: ApplicationState, entry: RemoveEntry): Promise<void> {
  const run = new AbortController();
  application.run = run;
  try {
    await removeUntil(AbortSignal.any([run.signal, context.signal]), context, application, entry);
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

async function removeUntil(
  signal: AbortSignal,
  context: Context,
  application: ApplicationState,
  entry: RemoveEntry,
): Promise<void> {
  const { head, bundle } = application;
  if (head === undefined && application.memory === "lost") {
    application.phase = "Blocked";
    application.reason =
      "nothing is deleted: what it owns is not known, because its inventory cannot be read; run it once more, so that its objects are taken over again, and remove it then";
    return context.touched(application);
  }
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
  const needing = neededBy(context.model, application);
  if (needing.length > 0) {
    application.waitsFor = new Set(needing);
    application.reason = `waits until ${needing.join(" and ")}, which needs it, is removed`;
    return context.touched(application);
  }
  const takers = takersOf(context.model, application);
  if (takers.size > 0 && entry.mode === "delete") {
    application.waitsFor = takers;
    application.reason = `waits until ${[...takers].join(" and ")} has taken over what moves there`;
    return context.touched(application);
  }
  const hooks = async (phase: "delete" | "deleted"): Promise<void> => {
    if (entry.mode === "delete" && head.run !== null && bundle !== undefined)
      await runHooks({ context, application, entry: head.run, bundle, signal }, phase);
  };
  await hooks("delete");
  const plan = planPrune({
    inventory: application.head!.inventory,
    wanted: new Set(),
    ...elsewhere(context.model, application),
    budget: "none",
  });
  const candidates = plan.kind === "prune" ? plan.candidates : [];
  const outcome =
    entry.mode === "orphan"
      ? letGo(candidates)
      : await deleteAll(context, application, candidates, head.run?.delivery.prune.protected ?? [], signal);
  tell(context, application, outcome);
  if (outcome.stopped !== undefined) {
    application.reason = goesOnLater(context, application, outcome.stopped);
    await saveHead(context, application, { ...application.head!, complete: false });
    return context.touched(application);
  }
  await hooks("deleted");
  if (entry.mode === "delete") {
    const deleted = await deleteLeftovers(context, application, bundle?.hooks() ?? []);
    tell(context, application, { deleted, orphaned: [], stopped: undefined });
  }
  await context.store.removeHead(application.name, context.signal);
  for (const key of head.inventory.keys()) release(context, application, key);
  application.head = undefined;
  // What a newer document runs again has been fetched already.
  const newest = entryOf(context.model, application.name);
  application.next = newest?.kind === "run" ? bundleOf(application, newest) : undefined;
  application.bundle = undefined;
  application.phase = "Removed";
  context.touched(application);
}

const goesOnLater = (context: Context, application: ApplicationState, stopped: string): string =>
  `${stopped}; it goes on at ${goOnWithRoom(context, application)}`;

/**
 * Applications that run what this one owns, and do not own it yet. Forgotten before they do, it would be nobody's if a
 * newer document let them drop it.
 */
function takersOf(model: Model, application: ApplicationState): Set<ApplicationName> {
  const { ownedElsewhere } = elsewhere(model, application);
  const moving = [...application.head!.inventory.keys()].filter((key) => !ownedElsewhere.has(key));
  const others = [...model.applications.values()].filter((other) => other !== application);
  const takers = others.filter((other) => moving.some((key) => newestBundle(model, other)?.keys.has(key) === true));
  return new Set(takers.map(({ name }) => name));
}

/** What other Applications here want or own. Held and absent ones keep all of their inventory. */
function elsewhere(
  model: Model,
  application: ApplicationState,
): { wantedElsewhere: Set<string>; ownedElsewhere: Set<string> } {
  const others = [...model.applications.values()].filter((other) => other !== application);
  const confirmed = others.flatMap((other) =>
    [...(other.head?.inventory ?? [])].flatMap(([key, { baseline }]) =>
      baseline !== null && isLeftTo(model, other, key, application) ? [key] : [],
    ),
  );
  return {
    wantedElsewhere: new Set(others.flatMap((other) => [...(newestBundle(model, other)?.keys ?? [])])),
    ownedElsewhere: new Set(confirmed),
  };
}

/**
 * Whether what two own may be left to `other`: it keeps what it has, or wants it, or is the one of two that prunes it. Each
 * leaving it to the other would leave it for ever.
 */
function isLeftTo(model: Model, other: ApplicationState, key: string, application: ApplicationState): boolean {
  const kind = entryOf(model, other.name)?.kind ?? "hold";
  if (kind === "remove") return false;
  return kind === "hold" || newestBundle(model, other)?.keys.has(key) === true || other.name < application.name;
}

/** An Application that runs here by the newest document, and whose objects are not known. */
function unknownBundle(model: Model, application: ApplicationState): string | undefined {
  const entries = model.document?.state.entries ?? [];
  const unknown = entries.find((entry) => {
    if (entry.kind !== "run" || entry.application === application.name) return false;
    const other = model.applications.get(entry.application);
    return other === undefined || bundleOf(other, entry) === undefined;
  });
  return unknown?.application;
}

async function deleteAll(
  context: Context,
  application: ApplicationState,
  candidates: readonly { key: string; owned: Owned }[],
  protectedByPolicy: readonly string[],
  signal: AbortSignal,
): Promise<Outcome> {
  const outcome = { deleted: [] as ObjectRef[], orphaned: [] as ObjectRef[], stopped: undefined as string | undefined };
  let failure: unknown;
  for (const { key, owned: planned } of candidates) {
    // A heal that is on its way would make again what is deleted now.
    while (context.model.tracked.get(key)?.inFlight !== undefined) await context.model.tracked.get(key)?.inFlight;
    signal.throwIfAborted();
    const owned = application.head?.inventory.get(key) ?? planned;
    const ref = parseRefKey(key);
    // The limits of this cluster may be narrower than when it was applied: hands off, and said.
    if (forbiddenBy(context.authority.limits, context.namespace, ref) !== undefined) {
      outcome.orphaned.push(ref);
      release(context, application, key);
      continue;
    }
    const address = addressOfKey(key, owned);
    // The living object has the last word: whether it is ours, and whether it says that nobody deletes it.
    let there: KubeObject | undefined;
    try {
      there = await livingObject(context, address);
    } catch (error) {
      context.signal.throwIfAborted();
      failure ??= notDeleted(ref, error);
      continue;
    }
    if (there === undefined || (owned.uid === "" && !isOurs(there, context))) {
      release(context, application, key);
      continue;
    }
    const { annotations } = there.metadata;
    if (isKept(annotations) || !isPruneAllowed(ref, annotations, protectedByPolicy)) {
      outcome.orphaned.push(ref);
      release(context, application, key);
      continue;
    }
    if (!context.breaker.take()) {
      outcome.stopped = `the agent's limit of deletions an hour is reached: ${describeRef(ref)} and what follows stay for now`;
      return outcome;
    }
    const uid = owned.uid === "" ? (there.metadata.uid ?? "") : owned.uid;
    try {
      if (await deleteOurs(context, writerOf(context, application), address, uid)) {
        outcome.deleted.push(ref);
        tellFinalizers(context, application, there);
      }
      release(context, application, key);
    } catch (error) {
      context.signal.throwIfAborted();
      // One that cannot be deleted is tried again, and holds up none of the others.
      failure ??= notDeleted(ref, error);
    }
  }
  if (failure === undefined) return outcome;
  tell(context, application, outcome);
  throw failure;
}

/** Undefined when it is gone for certain. Throws when nobody can tell. */
async function livingObject(context: Context, address: ObjectAddress): Promise<KubeObject | undefined> {
  const { cluster, signal } = context;
  const there = await cluster.get(address, signal);
  const isServed = there !== undefined || (await cluster.servedKind(address.apiVersion, address.kind, signal));
  if (isServed === undefined && !(await isDefinedNowhere(context, address)))
    throw new Error(`the API server does not serve ${address.apiVersion} ${address.kind} now`);
  return there;
}

/** They are never stripped: whoever put them there says when they are done. */
function tellFinalizers(context: Context, application: ApplicationState, { metadata, ...object }: KubeObject): void {
  const { finalizers = [], deletionTimestamp = new Date(context.clock.now()).toISOString() } = metadata;
  if (finalizers.length === 0) return;
  const what = describeRef(refOf({ ...object, metadata }));
  const text = `${what}: its deletion, asked for at ${deletionTimestamp}, waits for its finalizers (${finalizers.join(", ")})`;
  record(context, application, { $case: "notice", value: { text } });
}

const notDeleted = (ref: ObjectRef, cause: unknown): Error =>
  new Error(`${describeRef(ref)} is not deleted: ${reasonOf(cause)}`, { cause });

/** A heal makes an object anew, under another uid, and writes no inventory: what stands there may be ours all the same. */
async function deleteOurs(context: Context, writer: Writer, address: ObjectAddress, uid: string): Promise<boolean> {
  const { cluster, signal } = context;
  if ((await writer.delete(address, { uid, signal })) === "deleted") return true;
  const there = await cluster.get(address, signal);
  if (there === undefined || there.metadata.uid === uid || !isOurs(there, context)) return false;
  return (await writer.delete(address, { uid: there.metadata.uid ?? "", signal })) === "deleted";
}

/**
 * That a kind is not served says nothing of its objects: its server may be away. That no CRD defines it, in the API
 * server's own store, says that they are gone.
 */
async function isDefinedNowhere({ cluster, signal }: Context, { group, kind }: ObjectAddress): Promise<boolean> {
  const definitions = await cluster.kindOf("apiextensions.k8s.io/v1", "CustomResourceDefinition", signal);
  if (definitions === undefined) return false;
  const { items } = await cluster.list(definitions, { signal });
  return !items.some((definition) => kindDefinedBy(definition).kind === `${group}/${kind}`);
}

/** What moved is judged for its new owner from here on. */
function release(context: Context, application: ApplicationState, key: string): void {
  if (disown(context.model, application.name, key)) context.look(key);
}

function letGo(candidates: readonly { key: string; owned: Owned }[]): Outcome {
  return { deleted: [], orphaned: candidates.map(({ key }) => parseRefKey(key)), stopped: undefined };
}

function tell(context: Context, application: ApplicationState, { deleted, orphaned }: Outcome): void {
  if (deleted.length + orphaned.length === 0) return;
  const value = { deleted, orphaned, blocked: "", planHash: "", plan: [] };
  record(context, application, { $case: "pruned", value });
  context.log.info({ application: application.name, deleted: deleted.length, orphaned: orphaned.length }, "pruned");
}
