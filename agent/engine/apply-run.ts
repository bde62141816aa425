import { stagesOf } from "#agent/apply/order.ts";
import type { Owned } from "#agent/state/head.ts";
import type { RunEntry } from "#proto/desired-state.ts";
import { canonicalJson } from "#proto/json.ts";
import { lookForAbsent } from "./absent.ts";
import { lookAgain, lookAtMarked, lookAtYielded, takeFromOthers } from "./after-apply.ts";
import { applyStage, describeProblems, retryPassing } from "./apply-objects.ts";
import { notCurrent, untilHealthy } from "./wave-waits.ts";
import type { Work } from "./work.ts";
import type { Bundle, Desired } from "./bundles.ts";
import { record, saveHead, type Context } from "./context.ts";
import { deleteLeftovers } from "./hook-objects.ts";
import { HookFailed, runHooks, type BundleRun } from "./hooks.ts";
import { allDone } from "./all-done.ts";
import { beginWithHooks, writeIntent } from "./intent.ts";
import { hasLeftovers, isNamed, leaveAsItIs, sameRun, takeBundleIntoUse } from "./leave-applied.ts";
import { settle, type ApplicationState } from "./model.ts";
import { createNewKinds, type NewKinds } from "./new-kinds.ts";
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
  const kinds = createNewKinds(context);
  const isOther = canonicalJson(application.head?.run?.delivery ?? null) !== canonicalJson(entry.delivery);
  // Also when what began it is called off: the intent of that has the new policy already.
  if (isOther) application.isPolicyNew = true;
  try {
    const said = await applyAll(run, kinds);
    if (application.problems.size > 0) return await giveUp(run);
    await finish(context, application, entry, before, bundle);
    await kinds.watch();
    if (application.isPolicyNew) lookAgain(context, application);
    else lookAtYielded(context, application);
    application.isPolicyNew = false;
    application.applied = bundle;
    bundle.forget();
    application.lastAppliedAtMs = context.clock.now();
    settle(context, application, "Applied", said);
  } catch (error) {
    if (!(error instanceof HookFailed) || signal.aborted) throw error;
    application.reason = error.message;
    await giveUp(run);
  } finally {
    // Also of a run that is called off: what it made may be as the next one wants it, which then writes nothing of it.
    void kinds.watch();
  }
}

function isAsItShallBe(application: ApplicationState, entry: RunEntry, bundle: Bundle): boolean {
  const { head } = application;
  if (head === undefined || !head.complete || !sameRun(head.run, entry)) return false;
  if (hasLeftovers(application, entry, bundle)) return false;
  return toApply(head.inventory, bundle).size === 0 && [...head.inventory.keys()].every((key) => bundle.keys.has(key));
}

const toApply = (inventory: ReadonlyMap<string, Owned> | undefined, bundle: Bundle): Set<string> =>
  new Set([...bundle.desired()].flatMap(([key, desired]) => (needsApply(inventory?.get(key), desired) ? [key] : [])));

/** From hooks before to hooks after. Gives a sentence that people should know, or none. */
async function applyAll(run: BundleRun, kinds: NewKinds): Promise<string> {
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
  const work: Work = {
    desired,
    todo,
    fresh: new Set(),
    absent: new Map(),
    kinds,
    late: () => failLate(run),
  };
  const stages = stagesOf([...desired.values()].map(({ object }) => object));
  // What only reads begins while the intent is written: a LIST may wait a tenth of a second for the server's cache.
  await allDone(
    bundle.scales ? context.autoscalers.start() : Promise.resolve(),
    isNews ? writeIntent(context, application, entry, bundle, todo) : Promise.resolve(),
    stages[0] === undefined ? Promise.resolve() : lookForAbsent(context, application, stages[0], work),
  );
  for (const stage of stages) if ((await applyStage(context, application, stage, work, signal)) === "refused") break;
  await retryPassing(context, application, work, signal);
  application.applying = new Set();
  if (application.problems.size > 0) return "";
  const { reason } = application;
  application.phase = "Applying";
  // Whatever follows but the end of it all may wait for what it sees.
  if (surplus || bundle.phases.size > 0) await kinds.watch();
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
  const { made = {} } = application.head!;
  const left = entry.delivery.prune.enabled ? await withoutHooksGone(context, application, bundle) : made;
  if (before !== bundle) before?.forget();
  await saveHead(context, application, { ...application.head!, environment, run: entry, complete: true, made: left });
  tellRecovered(context, application);
  takeFromOthers(context, application);
  lookAtMarked(context, application, "isUnjudged", "isRefused");
}

/** Deletes what hooks left that are no more in Git; gives what those that are may have made. */
async function withoutHooksGone(
  context: Context,
  application: ApplicationState,
  bundle: Bundle,
): Promise<Readonly<Record<string, string>>> {
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

const needsApply = (owned: Owned | undefined, desired: Desired): boolean =>
  owned === undefined || owned.baseline === null || owned.applied !== desired.hash;
