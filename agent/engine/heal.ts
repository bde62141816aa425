import type { Writer } from "#agent/authority/writer.ts";
import { baselineOf } from "#agent/drift/baseline.ts";
import { contentHash } from "#agent/drift/content.ts";
import { driftOf, explainForeign, unknownTool, type Explanation } from "#agent/drift/explain.ts";
import { takeOverForeign } from "#agent/drift/foreign.ts";
import { DriftKind } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { parseRefKey, type KubeObject } from "#proto/object.ts";
import { agentLabel, type Desired } from "./bundles.ts";
import type { Context } from "./context.ts";
import { contest, end, healed, healedBeside, open, unexplained } from "./episodes.ts";
import { exceptedFields, type Excepted } from "./excepted.ts";
import { hasExceptions } from "./exceptions.ts";
import { backOff, foughtOver, quietLeftMs, wholeObject } from "./fights.ts";
import type { Suspicion } from "./judge.ts";
import { setOwned } from "./model.ts";
import { noteMissing } from "./note-health.ts";
import { createAgain } from "./once.ts";
import { send, superseded } from "./send.ts";
import { applyServed } from "./served.ts";
import { caseOf, isHidden, isStill, retryMs, type Again, type Case } from "./suspects.ts";
import { foreignOf, knowScaler, yielding } from "./yielding.ts";

/** Looks into one suspicion, and makes the object again what was applied, as far as its Application's policy lets it. */
export async function heal(context: Context, key: string, suspicion: Suspicion): Promise<Again> {
  let found = await caseOf(context, key, suspicion);
  if (found === undefined || typeof found === "number") return found;
  if (found.seen !== undefined && (await knowScaler(context, key, found.desired.object, found.seen))) {
    // Asking took time: what was seen meanwhile is the same drift and more, and is told and healed as one.
    found = await caseOf(context, key, context.newerSuspicion(key) ?? suspicion);
    if (found === undefined || typeof found === "number") return found;
  }
  const { tracked, run, seen, desired } = found;
  const now = context.clock.now();
  const frozen = run.delivery.healingFrozen;
  const isFrozen = frozen !== null && (frozen.untilMs === null || now < frozen.untilMs);
  // What is there once is no matter of drift; that it is made again is a write like any other.
  const isOnce = desired.once === true;
  if (isOnce && seen !== undefined) {
    await restoreLabel(context, context.writer(run.delivery), seen);
    return undefined;
  }
  if (run.delivery.drift === "report") return isOnce ? undefined : observe(context, found);
  if (isFrozen) {
    if (!isOnce) await observe(context, found);
    return frozen.untilMs === null ? undefined : Math.max(1, frozen.untilMs - now);
  }
  if (isOnce) return createAgain(context, found);
  // A fight is over when nobody has changed it for a while, and not because it is healed.
  const quietMs = isContested(found) ? quietLeftMs(tracked, context.clock.monotonic()) : 0;
  if (quietMs > 0) return quietMs;
  const wait = Math.max(
    tracked.notBefore - context.clock.monotonic(),
    isOfOwnership(found) ? context.ownershipPace.waitMs() : 0,
  );
  if (wait > 0) return wait;
  const isLabelAlone = found.kind === DriftKind.LABEL_REMOVED && isUntouched(found);
  const mayBeExcepted = seen !== undefined && !isLabelAlone && hasExceptions(run.delivery, parseRefKey(key));
  const excepted = mayBeExcepted ? await exceptedFields(context, found, seen) : undefined;
  return correct(context, found, excepted);
}

const isOfOwnership = ({ kind, comparison }: Case): boolean =>
  kind === DriftKind.CHANGED && comparison === "ownershipChanged";

const isContested = (found: Case): boolean => isUntouched(found) && found.tracked.episode?.state === "contested";

const isUntouched = ({ comparison }: Case): boolean => comparison === "same";

/** Report mode, or a freeze: what differs is said, and nothing is written but the label. */
async function observe(context: Context, found: Case): Promise<Again> {
  const { tracked, desired, application } = found;
  if (found.seen === undefined) {
    noteMissing(context, tracked, "does not exist");
    open(context, found, unexplained, "is missing");
    return undefined;
  }
  const writer = context.writer(found.run.delivery);
  const seen = isHidden(context, found.seen) ? await restoreLabel(context, writer, found.seen) : found.seen;
  if (found.kind === DriftKind.LABEL_REMOVED) healedBeside(context, found, labelGone(found.seen));
  const { object } = yielding(context, tracked.key, desired, seen);
  // Said now: a status that is written during the dry run is no reason for another.
  tracked.looked = contentHash(seen);
  const answer = await applyServed(context, writer, object, { force: true, dryRun: true }).catch((error: unknown) => {
    tracked.looked = "";
    throw error;
  });
  const explained = driftOf(answer, seen, context.salt);
  const isOfContent = found.kind === DriftKind.REPLACED ? found : { ...found, kind: DriftKind.CHANGED };
  if (explained === undefined) end(context, application, tracked);
  else open(context, isOfContent, explained, "");
  return undefined;
}

async function restoreLabel(context: Context, writer: Writer, seen: KubeObject): Promise<KubeObject> {
  const labels = { ...seen.metadata.labels, [agentLabel]: context.clusterId };
  return writer.replace({ ...seen, metadata: { ...seen.metadata, labels } }, context.signal);
}

async function correct(context: Context, found: Case, excepted: Excepted | undefined): Promise<Again> {
  const { application, tracked, owned, run, seen } = found;
  const writer = context.writer(run.delivery);
  const present = excepted?.desired ?? yielding(context, tracked.key, found.desired, seen);
  // First what is ours: what others then still have besides is foreign.
  const isStrict = run.delivery.strict && seen !== undefined && isUntouched(found);
  const foreign = isStrict ? foreignOf(context, tracked.key, owned, run.delivery, seen) : [];
  const apply = async (): Promise<KubeObject> => {
    // What is in our entry and not in the apply is removed; the version makes it the object that was seen.
    if (foreign.length > 0) await writer.replace(takeOverForeign(seen!, foreign), context.signal);
    const answer = await applyServed(context, writer, present.object, { force: true });
    return seen === undefined ? answer : withoutBeforeFirstApply(context, writer, answer);
  };
  const sent = await send(context, tracked, present, apply, () => isStill(context, found));
  // What was wanted instead is being applied, pruned or removed, and is judged by itself.
  if (!sent.ok && sent.failure.reason === superseded) return undefined;
  if (!sent.ok) {
    context.released(tracked);
    context.touched(application);
    // Whatever else cannot be healed, it must not be out of sight.
    if (seen !== undefined && isHidden(context, seen)) await restoreLabel(context, writer, seen);
    return healFailed(context, found, sent.failure.message, sent.failure.final);
  }
  const isHeld = seen !== undefined && excepted === undefined && isOtherValue(found, present, sent.answer);
  // A value that admission gives is no baseline: the difference stays to be seen.
  const { baseline } = isHeld ? owned : sent.owned;
  setOwned(context.model, application.name, tracked.key, { ...sent.owned, baseline });
  if ((sent.owned.yielded ?? []).join() !== (owned.yielded ?? []).join()) context.remember(application);
  tracked.looked = isHeld || excepted !== undefined ? contentHash(sent.answer) : "";
  context.released(tracked);
  context.touched(application);
  application.problems.delete(tracked.key);
  // Deleted while its heal was on its way: that it came back is what happened, whatever differed before.
  if (seen !== undefined && sent.answer.metadata.uid !== seen.metadata.uid)
    return conclude(
      context,
      { ...found, kind: DriftKind.DELETED, seen: undefined, comparison: undefined },
      unexplained,
      undefined,
    );
  const explained = seen === undefined ? unexplained : withForeign(driftOf(sent.answer, seen, context.salt));
  if (isHeld) {
    backOff(tracked, context.clock.monotonic());
    if (tracked.episode?.state !== "contested")
      contest(context, found, explained ?? unexplained, "admission gives another value", { isHeld });
    return undefined;
  }
  return conclude(context, found, explained, excepted);

  function withForeign(own: Explanation | undefined): Explanation | undefined {
    if (foreign.length === 0) return own;
    const taken = { fields: explainForeign(seen!, foreign, context.salt), tool: foreign[0]!.tool, changedAtMs: 0 };
    return own === undefined ? taken : { ...own, fields: [...own.fields, ...taken.fields] };
  }
}

function conclude(
  context: Context,
  found: Case,
  explained: Explanation | undefined,
  excepted: Excepted | undefined,
): Again {
  const { application, tracked, seen } = found;
  const said = explained ?? (found.kind === DriftKind.LABEL_REMOVED ? labelGone(seen!) : undefined);
  const healedNow = explained?.fields.map(({ path }) => path) ?? [];
  const fought =
    explained === undefined
      ? undefined
      : foughtOver(tracked, context.clock.monotonic(), healedNow.length === 0 ? [wholeObject] : healedNow);
  if (explained !== undefined && fought !== undefined) {
    backOff(tracked, context.clock.monotonic());
    contest(context, found, explained, fought);
    // Nothing may happen to it any more: then its fight is over.
    const quietMs = quietLeftMs(tracked, context.clock.monotonic());
    return Math.min(excepted?.againMs ?? quietMs, quietMs);
  }
  if (excepted !== undefined) {
    if (said !== undefined) healedBeside(context, found, said);
    open(context, found, excepted.explained, excepted.reason, excepted.againMs);
    return excepted.againMs;
  }
  if (said === undefined && isOfOwnership(found)) context.ownershipPace.wasSilent();
  if (said === undefined) end(context, application, tracked);
  else healed(context, found, said);
  return undefined;
}

/**
 * The same ownership as ever, and another value than before: whoever admits writes here wants it so. Not where an
 * exception begins, goes on or ends: what is let be is applied with the value that it has.
 */
function isOtherValue({ owned, desired }: Case, present: Desired, answer: KubeObject): boolean {
  if ((owned.yielded ?? []).join() !== (present.yielded ?? []).join()) return false;
  const before = owned.baseline!;
  const after = baselineOf(answer, present.object);
  return (
    owned.applied === desired.hash &&
    before.format === after.format &&
    before.ownershipHash === after.ownershipHash &&
    before.valueHash !== after.valueHash
  );
}

/**
 * Whoever cleared managedFields made the server give every field to a manager of its own at our next apply: what Git
 * removes later would stay for ever.
 */
async function withoutBeforeFirstApply(context: Context, writer: Writer, answer: KubeObject): Promise<KubeObject> {
  const entries = answer.metadata.managedFields ?? [];
  const managedFields = entries.filter(({ manager }) => manager !== "before-first-apply");
  if (managedFields.length === entries.length) return answer;
  return writer.replace({ ...answer, metadata: { ...answer.metadata, managedFields } }, context.signal);
}

function healFailed(context: Context, found: Case, message: string, isFinal: boolean): Again {
  if (found.seen === undefined) noteMissing(context, found.tracked, `could not be made again: ${message}`);
  open(context, found, unexplained, `could not be healed: ${message}`, isFinal ? undefined : retryMs);
  if (!isFinal) return retryMs;
  // Refused for good: asked again when the object is another, or the bundle, and not at each of its events.
  found.tracked.isRefused = true;
  if (found.seen !== undefined) found.tracked.looked = contentHash(found.seen);
  return undefined;
}

const labelGone = (seen: KubeObject): Explanation => ({
  fields: [{ path: `metadata.labels["${agentLabel}"]`, before: "", after: seen.metadata.labels?.[agentLabel] ?? "" }],
  tool: unknownTool,
  changedAtMs: 0,
});
