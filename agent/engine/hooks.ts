import { failureOf } from "#agent/apply/failure.ts";
import { isProtected } from "#agent/apply/prune.ts";
import type { RunEntry } from "#proto/desired-state.ts";
import type { HookPhase } from "#proto/hooks.ts";
import type { Revision } from "#proto/ids.ts";
import { describeRef, parseRefKey, refOf, type KubeObject } from "#proto/object.ts";
import { backoffMs } from "#lib/retry.ts";
import type { Bundle, BundleHook } from "./bundles.ts";
import { addressOfKey, record, type Context } from "./context.ts";
import { deleteMade, isAwaited, isMade, isOfRun, marked, verdictOf, type Verdict } from "./hook-objects.ts";
import { hooksDone, nameOf, noteBegun, noteDone, noteFailed } from "./hook-record.ts";
import { disown, versionOf, type ApplicationState, type HookSlot } from "./model.ts";
import { firstContact } from "./send.ts";

const retries = { firstMs: 500, capMs: 30_000 };
/** Watches tell when a hook ends; should they be silent, it is asked for by name this often. */
const lookEveryMs = 30_000;

/** A hook that failed for good: nothing after it is done for this digest, before a person deletes what failed. */
export class HookFailed extends Error {
  override readonly name = "HookFailed";
  /** Nothing of it was made, so that nothing will be seen to change. */
  readonly isRefused: boolean;

  constructor(message: string, isRefused = false) {
    super(message);
    this.isRefused = isRefused;
  }
}

/** One bundle of one Application, on its way; the signal ends it. */
export type BundleRun = {
  readonly context: Context;
  readonly application: ApplicationState;
  readonly entry: RunEntry;
  readonly bundle: Bundle;
  /** The commit that asked for the Removal whose hooks these are. */
  readonly removal?: Revision;
  readonly signal: AbortSignal;
};
type Run = BundleRun & { readonly phase: HookPhase };

/**
 * Runs what a bundle's hooks have for a phase, one after the other, each until it ended or the Application's timeout is
 * over, and once for each digest. Throws HookFailed.
 */
export async function runHooks(parts: BundleRun, phase: HookPhase): Promise<void> {
  const { context, application, bundle, signal } = parts;
  if (!bundle.phases.has(phase)) return;
  await noteBegun(context, application, bundle);
  const run: Run = { ...parts, phase };
  const { install } = hooksDone(application, bundle);
  const due = bundle
    .hooks()
    .filter(({ hook }) =>
      hook.phases.some(({ phase: its, on }) => its === phase && (on === "any" || (on === "install") === install)),
    );
  try {
    for (const hook of due) await runOnce(run, hook);
  } finally {
    if (!signal.aborted) await cleanUp(run, due);
  }
}

async function runOnce(run: Run, hook: BundleHook): Promise<void> {
  const { context, application, bundle, phase, removal, signal } = run;
  const name = nameOf(phase, hook, removal);
  if (hooksDone(application, bundle).done.includes(name)) return;
  signal.throwIfAborted();
  application.reason = `runs the ${phase} hook ${describe(hook)}`;
  context.touched(application);
  const slot: HookSlot = { application: application.name, seen: undefined, isGone: false, isFailed: false };
  context.model.hooks.set(hook.key, slot);
  const verdict = await outcomeOf(run, hook, slot).catch((error: unknown) => {
    context.model.hooks.delete(hook.key);
    throw error;
  });
  if (!verdict.ok) {
    slot.isFailed = true;
    const because = `the ${phase} hook ${describe(hook)} failed: ${verdict.because}`;
    await failFor(run, hook, slot, verdict.because);
    const value = {
      object: parseRefKey(hook.key),
      reason: "HookFailed",
      message: because,
      final: true,
      nextTryAtMs: 0n,
    };
    record(context, application, { $case: "problem", value });
    throw new HookFailed(because);
  }
  context.model.hooks.delete(hook.key);
  // What became a hook is no part of the inventory any more; it stays as the hook made it.
  if (application.head?.inventory.has(hook.key) === true) disown(context.model, application.name, hook.key);
  await noteDone(context, application, bundle, name);
  context.log.info({ application: application.name, hook: describe(hook), phase }, "hook done");
}

/**
 * What failed stays to be looked into, unless its policy says otherwise. That it failed is remembered before it goes: an
 * agent that ends between the two must not find nothing, and run it again.
 */
async function failFor(run: Run, hook: BundleHook, slot: HookSlot, because: string): Promise<void> {
  const { context, application, bundle, phase, removal } = run;
  const uid = slot.seen?.metadata.uid ?? "";
  const failed = (left: string) =>
    noteFailed(context, application, bundle, { name: nameOf(phase, hook, removal), uid: left, because });
  await failed(hook.hook.deleted.failed ? "" : uid);
  if (!hook.hook.deleted.failed) return;
  context.model.hooks.delete(hook.key);
  if ((await deleteMade(context, application, hook.key, hook.object.apiVersion)) === "left" && uid !== "")
    await failed(uid);
}

/** What succeeded goes when its phase is over, because a later hook of the phase may need it. */
async function cleanUp(run: Run, due: readonly BundleHook[]): Promise<void> {
  const { context, application, bundle, phase, removal } = run;
  const { done } = hooksDone(application, bundle);
  for (const hook of due)
    if (hook.hook.deleted.succeeded && done.includes(nameOf(phase, hook, removal)))
      await deleteMade(context, application, hook.key, hook.object.apiVersion);
}

async function outcomeOf(run: Run, hook: BundleHook, slot: HookSlot): Promise<Verdict> {
  const { context, application, bundle, entry, phase, removal } = run;
  if (isAwaited(hook.object)) await context.watch(hook.object.apiVersion, hook.object.kind);
  const failed = hooksDone(application, bundle).failed[nameOf(phase, hook, removal)];
  if (failed !== undefined) {
    const there = await context.cluster.get(addressOfKey(hook.key, hook.object), context.signal);
    // A person who deletes what failed asks for another try. What its own policy deleted leaves nothing to delete: a newer
    // digest tries again, and a Removal, which has none, each time that it is begun anew.
    const isLeaving = phase === "delete" || phase === "deleted";
    const isStill = failed.uid === "" ? !isLeaving : there !== undefined && there.metadata.uid === failed.uid;
    slot.seen = there;
    if (isStill && (there === undefined || verdictOf(there)?.ok !== true))
      return { ok: false, because: failed.because };
  }
  const until = context.clock.monotonic() + entry.delivery.timeoutMs;
  await make(run, hook, slot, until);
  return await ended(run, hook, slot, until);
}

/** Makes the object, unless this very run has made it already. */
async function make(run: Run, hook: BundleHook, slot: HookSlot, until: number): Promise<void> {
  const { context, signal } = run;
  for (let attempt = 1; ; attempt += 1) {
    signal.throwIfAborted();
    let because: string;
    try {
      const made = await makeOnce(run, hook, slot);
      if (made) return;
      because = "what an earlier run left is still being deleted";
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof HookFailed) throw error;
      const failure = failureOf(error);
      if (failure.final)
        throw new HookFailed(`the ${run.phase} hook ${describe(hook)} was refused: ${failure.message}`, true);
      because = failure.message;
    }
    const waitMs = backoffMs(retries, attempt);
    if (context.clock.monotonic() + waitMs > until)
      throw new Error(`the ${run.phase} hook ${describe(hook)} could not be made: ${because}`);
    await context.slots.aside(() => context.until(() => slot.isGone, waitMs, signal));
    slot.seen = undefined;
    slot.isGone = false;
  }
}

/** False while what an earlier run left is on its way out. */
async function makeOnce(run: Run, hook: BundleHook, slot: HookSlot): Promise<boolean> {
  const { context, application, entry, bundle, phase, removal } = run;
  const { cluster, signal } = context;
  const writer = context.writer(entry.delivery);
  const mark = `${bundle.digest}/${phase}${removal === undefined ? "" : `/${removal}`}`;
  const there = await cluster.get(addressOfKey(hook.key, hook.object), signal);
  const object = marked(hook, application, mark);
  if (there === undefined) {
    see(slot, await writer.apply(object, { signal }));
    return true;
  }
  const isMine = isMade(context, application, there);
  if (isMine && isOfRun(there, mark)) {
    see(slot, there);
    return true;
  }
  if (there.metadata.deletionTimestamp !== undefined) return false;
  if (!isMine && isAwaited(hook.object))
    throw new HookFailed(
      `the ${phase} hook ${describe(hook)} was refused: it exists already, and no hook of ${application.name} made it; delete or rename it`,
      true,
    );
  const isReplaced = isAwaited(hook.object) || hook.hook.deleted.before;
  if (isMine && isReplaced && !isProtected(refOf(hook.object))) {
    await deleteMade(context, application, hook.key, hook.object.apiVersion);
    const left = await cluster.get(addressOfKey(hook.key, hook.object), signal);
    if (left !== undefined) return false;
    see(slot, await writer.apply(object, { signal }));
    return true;
  }
  const desired = { object, hash: "" };
  see(
    slot,
    isMine ? await writer.apply(object, { force: true, signal }) : await firstContact(context, desired, entry, false),
  );
  return true;
}

/** The watch may have told of something newer, its end above all, before this answer came. */
function see(slot: HookSlot, object: KubeObject): void {
  const { seen } = slot;
  if (seen?.metadata.uid === object.metadata.uid && versionOf(seen!) > versionOf(object)) return;
  slot.seen = object;
  slot.isGone = false;
}

/** Waits until the object has ended, the watch telling. */
async function ended(
  { context, application, signal }: Run,
  hook: BundleHook,
  slot: HookSlot,
  until: number,
): Promise<Verdict> {
  const uid = slot.seen?.metadata.uid;
  const isAway = (): boolean => slot.isGone || slot.seen?.metadata.uid !== uid;
  const verdictNow = (): Verdict | undefined =>
    slot.seen === undefined || slot.seen.metadata.uid !== uid ? undefined : verdictOf(slot.seen);
  for (;;) {
    const verdict = verdictNow();
    if (verdict !== undefined) return verdict;
    const leftMs = until - context.clock.monotonic();
    if (leftMs <= 0) return { ok: false, because: "it did not end within the Application's timeout" };
    context.touched(application);
    const isTold = (): boolean => isAway() || verdictNow() !== undefined;
    const limitMs = Math.min(leftMs, lookEveryMs);
    if ((await context.slots.aside(() => context.until(isTold, limitMs, signal))) && !isAway()) continue;
    // Gone from the watch is not always gone: its label may have been taken off.
    const there = await context.cluster.get(addressOfKey(hook.key, hook.object), context.signal);
    if (there === undefined || there.metadata.uid !== uid)
      return { ok: false, because: "it was deleted before it ended" };
    see(slot, there);
  }
}

const describe = ({ key }: Pick<BundleHook, "key">): string => describeRef(parseRefKey(key));
