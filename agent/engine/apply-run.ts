import { stagesOf } from "#agent/apply/order.ts";
import type { Head, HooksDone, Owned } from "#agent/state/head.ts";
import type { RunEntry } from "#proto/desired-state.ts";
import { canonicalJson } from "#proto/json.ts";
import { lookAgain, lookAtMarked, lookAtYielded, takeFromOthers } from "./after-apply.ts";
import {
  applyStage,
  describeProblems,
  notCurrent,
  retryPassing,
  untilHealthy,
  watchKnownKinds,
  type Work,
} from "./apply-objects.ts";
import type { Bundle } from "./bundles.ts";
import { record, saveHead, type Context } from "./context.ts";
import { deleteLeftovers } from "./hook-objects.ts";
import { hooksDone, madeWith } from "./hook-record.ts";
import { isTraced } from "./traces.ts";
import { HookFailed, runHooks, type BundleRun } from "./hooks.ts";
import { hasLeftovers, isNamed, leaveAsItIs, sameRun, takeBundleIntoUse } from "./leave-applied.ts";
import { settle, track, type ApplicationState, type Model } from "./model.ts";
import { pruneSurplus } from "./prune-surplus.ts";
import { lookAtOthers } from "./refused.ts";

/** Applies a bundle with its hooks, prunes, and remembers. Throws when it is to be tried again by itself. */
export async function applyRun(
  context: Context,
  application: ApplicationState,
  newest: RunEntry,
  bundle: Bundle,
  signal: AbortSignal,
): Promise<void> {
  // Under another address lies the same bundle: the one that is here stays, for its slices are stored.
  const { address, slices, sealedKey } = bundle.run;
  const entry: RunEntry = { ...newest, address, slices, sealedKey };
  if (isAsItShallBe(application, entry, bundle)) {
    application.applied = bundle;
    bundle.forget();
    return leaveAsItIs(context, application, entry, bundle);
  }
  application.phase = "Applying";
  application.reason = "";
  application.problems = new Map();
  const before = application.bundle;
  const run: BundleRun = { context, application, entry, bundle, signal };
  const isOtherPolicy = canonicalJson(application.head?.run?.delivery ?? null) !== canonicalJson(entry.delivery);
  try {
    const said = await applyAll(run);
    if (application.problems.size > 0) return await giveUp(run);
    await finish(context, application, entry, before, bundle);
    if (isOtherPolicy) lookAgain(context, application);
    else lookAtYielded(context, application);
    application.applied = bundle;
    bundle.forget();
    application.lastAppliedAtMs = context.clock.now();
    settle(context, application, "Applied", said);
  } catch (error) {
    if (!(error instanceof HookFailed) || signal.aborted) throw error;
    application.reason = error.message;
    await giveUp(run);
  }
}

function isAsItShallBe(application: ApplicationState, entry: RunEntry, bundle: Bundle): boolean {
  const { head } = application;
  if (head === undefined || !head.complete || !sameRun(head.run, entry)) return false;
  if (hasLeftovers(application, entry, bundle)) return false;
  return toApply(head.inventory, bundle).size === 0 && [...head.inventory.keys()].every((key) => bundle.keys.has(key));
}

const toApply = (inventory: ReadonlyMap<string, Owned> | undefined, bundle: Bundle): Set<string> =>
  new Set([...bundle.desired()].flatMap(([key, { hash }]) => (needsApply(inventory?.get(key), hash) ? [key] : [])));

/** From hooks before to hooks after. Gives a sentence that people should know, or none. */
async function applyAll(run: BundleRun): Promise<string> {
  const { context, application, entry, bundle, signal } = run;
  const isSameDigest = application.head?.complete === true && application.head.run?.digest === entry.digest;
  const hooks = async (phase: "pre" | "sync" | "post"): Promise<void> => {
    if (!isSameDigest) await runHooks(run, phase);
  };
  context.touched(application);
  await beginWithHooks(context, application, entry, bundle);
  await hooks("pre");
  signal.throwIfAborted();
  const desired = bundle.desired();
  const todo = toApply(application.head?.inventory, bundle);
  application.reason = "";
  application.counts = { created: 0, configured: 0, unchanged: desired.size - todo.size, pruned: 0 };
  application.applying = new Set(todo);
  takeBundleIntoUse(application, bundle);
  const surplus = [...(application.head?.inventory.keys() ?? [])].some((key) => !desired.has(key));
  const isNews = todo.size > 0 || surplus || application.head?.run?.digest !== entry.digest;
  await bothDone(
    bundle.scales ? context.autoscalers.start() : Promise.resolve(),
    isNews ? intend(context, application, entry, bundle, todo) : Promise.resolve(),
  );
  const late = (): Promise<void> => failLate(run);
  const work: Work = { desired, todo, fresh: new Set(), absent: new Set(), late };
  for (const stage of stagesOf([...desired.values()].map(({ object }) => object)))
    if ((await applyStage(context, application, stage, work, signal)) === "refused") break;
  await retryPassing(context, application, work, signal);
  application.applying = new Set();
  if (application.problems.size > 0) return "";
  const { reason } = application;
  application.phase = "Applying";
  await hooks("sync");
  signal.throwIfAborted();
  const blocked = await pruneSurplus(context, application, bundle, entry, signal);
  signal.throwIfAborted();
  if (!isSameDigest && bundle.phases.has("post")) {
    await saveHead(context, application, application.head!);
    await waitHealthy(run);
    await hooks("post");
  }
  return blocked ?? reason;
}

/** Hooks after an apply find everything healthy, or the apply failed; it is waited for on and on. */
async function waitHealthy(run: BundleRun): Promise<void> {
  const { context, application, entry, bundle, signal } = run;
  const { timeoutMs } = entry.delivery;
  const waits = (): string =>
    `its post hooks wait for health: ${notCurrent(context, bundle.keys) ?? "of what has just become well"}`;
  application.reason = waits();
  context.touched(application);
  while (!(await untilHealthy(context, bundle.keys, timeoutMs, signal))) {
    application.reason = waits();
    await failLate(run);
  }
  application.phase = "Applying";
}

/** It takes longer than it may: a failed apply, which goes on all the same. */
async function failLate(run: BundleRun): Promise<void> {
  const { context, application } = run;
  if (application.phase === "Failed") return;
  application.phase = "Failed";
  context.touched(application);
  await runFailHooks(run);
}

/** What was refused for good: said, remembered, and left until another digest or object comes. */
async function giveUp(run: BundleRun): Promise<void> {
  const { context, application } = run;
  application.applying = new Set();
  const because = application.problems.size > 0 ? describeProblems(application) : application.reason;
  if (application.head !== undefined) await saveHead(context, application, application.head);
  settle(context, application, "Failed", because);
  await runFailHooks(run);
  settle(context, application, "Failed", because);
  lookAtOthers(context, application);
}

/** What they do is for people who look into the failure; that one of them fails too changes nothing. */
async function runFailHooks(run: BundleRun): Promise<void> {
  const { application } = run;
  const { reason } = application;
  try {
    await runHooks(run, "fail");
  } catch (error) {
    if (!(error instanceof HookFailed)) throw error;
  }
  application.reason = reason;
}

async function finish(
  context: Context,
  application: ApplicationState,
  entry: RunEntry,
  before: Bundle | undefined,
  bundle: Bundle,
): Promise<void> {
  const { environment } = entry;
  const made = entry.delivery.prune.enabled
    ? await withoutHooksGone(context, application, bundle)
    : application.head!.made;
  if (before !== bundle) before?.forget();
  await saveHead(context, application, { ...application.head!, environment, run: entry, complete: true, ...of(made) });
  tellRecovered(context, application);
  takeFromOthers(context, application);
  lookAtMarked(context, application, "isUnjudged", "isRefused");
}

/** Deletes what hooks left that are no more in Git; gives what those that are may have made. */
async function withoutHooksGone(
  context: Context,
  application: ApplicationState,
  bundle: Bundle,
): Promise<Head["made"]> {
  const made = Object.entries(application.head!.made ?? {});
  const gone = made.filter(([key]) => !isNamed(bundle, key));
  const deleted = await deleteLeftovers(context, application, gone);
  const value = { deleted, orphaned: [], blocked: "", planHash: "", plan: [] };
  if (deleted.length > 0) record(context, application, { $case: "pruned", value });
  return Object.fromEntries(made.filter(([key]) => bundle.hookKeys.has(key)));
}

function tellRecovered(context: Context, application: ApplicationState): void {
  const { memory, head } = application;
  application.memory = "kept";
  if (memory !== "lost") return;
  const text = `the inventory of ${application.name} was made anew: ${head!.inventory.size} objects`;
  record(context, application, { $case: "notice", value: { text } });
}

/** A first apply that begins with hooks: what they leave is found again by the bundle, so that is stored before them. */
async function beginWithHooks(
  context: Context,
  application: ApplicationState,
  entry: RunEntry,
  bundle: Bundle,
): Promise<void> {
  if (application.head !== undefined || bundle.phases.size === 0) return;
  application.isTraced = await isTraced(context, application, bundle);
  if (!bundle.phases.has("pre")) return;
  await intend(context, application, entry, bundle, new Set());
  takeBundleIntoUse(application, bundle);
}

const hooksOf = ({ phases }: Bundle, hooks: HooksDone): { hooks?: HooksDone } => (phases.size === 0 ? {} : { hooks });
const of = (made: Head["made"]): Pick<Head, "made"> => (made === undefined ? {} : { made });

const needsApply = (owned: Owned | undefined, hash: string): boolean =>
  owned === undefined || owned.baseline === null || owned.applied !== hash;

/** What is about to happen is written down first. Watches only read: they begin while it is written. */
async function intend(
  context: Context,
  application: ApplicationState,
  entry: RunEntry,
  bundle: Bundle,
  todo: ReadonlySet<string>,
): Promise<void> {
  const wanted = [...todo].map((key) => bundle.desired().get(key)!.object);
  await bothDone(writeIntent(context, application, entry, bundle, todo), watchKnownKinds(context, wanted));
}

/** So that a crash in the middle orphans nothing and tells no false drift: the bundle first, then the head that names it. */
async function writeIntent(
  context: Context,
  application: ApplicationState,
  entry: RunEntry,
  bundle: Bundle,
  todo: ReadonlySet<string>,
): Promise<void> {
  if (application.head?.run?.address !== entry.address)
    await context.store.saveSlices(entry.address, bundle.slices, context.signal);
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
  const { name, environment } = { name: application.name, environment: entry.environment };
  // In force before it is stored: what a heal learns meanwhile goes into this inventory, and is not lost with the last one.
  const hooks = hooksDone(application, bundle);
  application.head = {
    application: name,
    environment,
    run: entry,
    complete: false,
    inventory,
    ...hooksOf(bundle, hooks),
    ...of(bundle.hookKeys.size === 0 ? application.head?.made : madeWith(application, bundle)),
  };
  await saveHead(context, application, application.head);
}

/** Ends when both have ended, so that nothing goes on behind the back of whoever tries again. */
async function bothDone(...works: readonly Promise<void>[]): Promise<void> {
  for (const ended of await Promise.allSettled(works)) if (ended.status === "rejected") throw ended.reason as Error;
}

/** An object that moves here from another Application keeps what is known of it: it is no first contact. */
function ownedByAnother(model: Model, application: ApplicationState, key: string): Owned | undefined {
  for (const other of model.applications.values())
    if (other !== application && other.head?.inventory.has(key)) return other.head.inventory.get(key);
  return undefined;
}
