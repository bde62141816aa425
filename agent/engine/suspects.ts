import { compare, type Comparison } from "#agent/drift/baseline.ts";
import { contentHash } from "#agent/drift/content.ts";
import type { Owned } from "#agent/state/head.ts";
import { DriftKind } from "#proto/gen/plumbline/agent/v1/agent.ts";
import type { RunEntry } from "#proto/desired-state.ts";
import type { KubeObject } from "#proto/object.ts";
import { agentLabel, type Desired } from "./bundles.ts";
import { addressOfKey, type Context } from "./context.ts";
import type { Found } from "./episodes.ts";
import { noteGone, type Suspicion } from "./judge.ts";
import { entryOf, isAnother, ownedOf, ownersOf, versionOf, type Tracked } from "./model.ts";
import { lookAtOthersObject } from "./refused.ts";
import { foreignOf, isStripped, mayOwnAgain } from "./yielding.ts";

/** When to look at the object again, in milliseconds; undefined when it is settled. */
export type Again = number | undefined;

/** First wait after what failed for a passing reason; the caller doubles nothing: the next failure says again. */
export const retryMs = 1_000;
const longestRetryMs = 60_000;

/** An object that differs, and all that is needed to make it right. */
export type Case = Found & {
  readonly owned: Owned;
  readonly desired: Desired;
  readonly run: RunEntry;
  readonly seen: KubeObject | undefined;
  /** Of what is seen with what was applied; undefined when nothing is. */
  readonly comparison: Comparison | undefined;
};

/** Whether a case is as it was found: asking about it took time, in which something newer may have been wanted. */
export function isStill({ model }: Context, { application, tracked, owned }: Case): boolean {
  return (
    tracked.application === application.name &&
    ownedOf(model, tracked)?.applied === owned.applied &&
    application.bundle?.keys.has(tracked.key) === true &&
    !application.applying.has(tracked.key) &&
    entryOf(model, application.name)?.kind !== "remove"
  );
}

/** What a suspicion comes to: a case, a time to look again, or nothing. */
export async function caseOf(context: Context, key: string, suspicion: Suspicion): Promise<Case | Again> {
  const { model } = context;
  const tracked = model.tracked.get(key);
  const application = tracked && model.applications.get(tracked.application);
  const owned = tracked && ownedOf(model, tracked);
  if (tracked === undefined || application === undefined || owned === undefined) return undefined;
  if (owned.baseline === null) {
    tracked.isUnjudged = true;
    return lookAtOthersObject(context, application, tracked);
  }
  // Its apply or its deletion comes, or it is on its way to another Application: judged when it is wanted as it is.
  const isLeaving = entryOf(model, application.name)?.kind === "remove" || ownersOf(model, key).length > 1;
  if (isLeaving || application.applying.has(key)) {
    tracked.isUnjudged = true;
    return undefined;
  }
  const run = application.head?.run;
  const desired = application.bundle?.desired().get(key);
  if (run === undefined || run === null) return undefined;
  if (desired === undefined) {
    // Not in the bundle any more, and not pruned yet; or its bundle is not here. The next one may have it again.
    tracked.isUnjudged = true;
    return undefined;
  }
  const seenAtMs = context.clock.now();
  const base = { application, tracked, owned, desired, run, seenAtMs };
  const { baseline } = owned;
  const caseWith = (seen: KubeObject, kind: DriftKind): Case => ({
    ...base,
    seen,
    kind,
    comparison: compare(baseline, seen),
  });
  // Something newer was seen or answered since, or was told meanwhile: what came of it is judged by itself.
  if (suspicion.kind === "differs" && isOver(tracked, suspicion.seen)) return undefined;
  if (suspicion.kind === "differs")
    return caseWith(suspicion.seen, suspicion.isReplaced ? DriftKind.REPLACED : DriftKind.CHANGED);
  const there = await context.cluster.get(addressOfKey(key, owned), context.signal);
  if (desired.once === true && there !== undefined && there.metadata.deletionTimestamp === undefined) {
    tracked.health = context.healthOf(there);
    context.touched(application);
    // Without its label nobody would see that it goes.
    const isToLabel = owned.uid === there.metadata.uid && isHidden(context, there);
    return isToLabel ? caseWith(there, DriftKind.LABEL_REMOVED) : undefined;
  }
  // A finished Job that is cleaned away is no drift.
  if (there === undefined && owned.done === true) {
    noteGone(context, tracked);
    context.touched(application);
    return undefined;
  }
  if (there === undefined) return { ...base, seen: undefined, kind: DriftKind.DELETED, comparison: undefined };
  if (there.metadata.deletionTimestamp !== undefined) return untilGoneMs(there.metadata.deletionTimestamp, seenAtMs);
  // Made anew by somebody, who knows nothing of our label: another object, whoever's.
  if (isHidden(context, there))
    return caseWith(there, isAnother(owned, there) ? DriftKind.REPLACED : DriftKind.LABEL_REMOVED);
  const found = caseWith(there, DriftKind.CHANGED);
  const isAsKnown = found.comparison === "same" && tracked.episode === undefined;
  const isToStrip = isStripped(run.delivery) && foreignOf(context, key, owned, run.delivery, there).length > 0;
  return isAsKnown && !isToStrip && !mayOwnAgain(context, key, owned, desired.object) ? undefined : found;
}

/** What is on its way out without our label is asked for: after a quarter of the time that it has taken, for it may take days. */
function untilGoneMs(deletionTimestamp: string, nowMs: number): number {
  const leavingForMs = nowMs - Date.parse(deletionTimestamp);
  return Math.min(Math.max(retryMs, leavingForMs / 4), longestRetryMs);
}

/** Without our label no watch tells of it. */
export const isHidden = ({ clusterId }: Pick<Context, "clusterId">, seen: KubeObject): boolean =>
  seen.metadata.labels?.[agentLabel] !== clusterId;

const isOver = (tracked: Tracked, seen: KubeObject): boolean =>
  versionOf(seen) < tracked.version || (tracked.looked !== "" && tracked.looked === contentHash(seen));
