import { randomUUID } from "node:crypto";
import { baselineOf, compare } from "#agent/drift/baseline.ts";
import { driftOf, unknownTool, type Explanation } from "#agent/drift/explain.ts";
import type { Owned } from "#agent/state/head.ts";
import { DriftKind, DriftState } from "#proto/gen/plumbline/agent/v1/agent.ts";
import type { RunEntry } from "#proto/desired-state.ts";
import { describeRef, parseRefKey, type KubeObject } from "#proto/object.ts";
import { agentLabel, type Desired } from "./bundles.ts";
import { addressOfKey, record, type Context } from "./context.ts";
import { exceptionFor, hasExceptions } from "./exceptions.ts";
import { backOff, isFought } from "./fights.ts";
import type { Suspicion } from "./judge.ts";
import { entryOf, ownedOf, setOwned, type ApplicationState, type Tracked } from "./model.ts";
import { send } from "./send.ts";

/** When to look at the object again, in milliseconds; undefined when it is settled. */
export type Again = number | undefined;

/** First wait after a heal that failed for a passing reason; the caller doubles nothing: the next failure says again. */
const retryMs = 1_000;

type Case = {
  readonly application: ApplicationState;
  readonly tracked: Tracked;
  readonly owned: Owned;
  readonly desired: Desired;
  readonly run: RunEntry;
  readonly seen: KubeObject | undefined;
  readonly kind: DriftKind;
  readonly seenAtMs: number;
};

/** Looks into one suspicion, and makes the object again what was applied, as far as its Application's policy lets it. */
export async function heal(context: Context, key: string, suspicion: Suspicion): Promise<Again> {
  const found = await caseOf(context, key, suspicion);
  if (found === undefined || typeof found === "number") return found;
  const { tracked, run } = found;
  const now = context.clock.now();
  const frozen = run.delivery.healingFrozen;
  const isFrozen = frozen !== null && (frozen.untilMs === null || now < frozen.untilMs);
  const isLabelAlone = found.kind === DriftKind.LABEL_REMOVED && isUntouched(found);
  if (run.delivery.drift === "report" || isFrozen) return observe(context, found);
  if (hasExceptions(run.delivery, parseRefKey(key)) && !isLabelAlone) {
    const excepted = await observe(context, found, true);
    if (excepted !== "heal") return excepted;
  }
  const wait = tracked.notBefore - context.clock.monotonic();
  return wait > 0 ? wait : correct(context, found);
}

async function caseOf(context: Context, key: string, suspicion: Suspicion): Promise<Case | Again> {
  const { model } = context;
  const tracked = model.tracked.get(key);
  const application = tracked && model.applications.get(tracked.application);
  const owned = tracked && ownedOf(model, tracked);
  if (tracked === undefined || application === undefined || owned === undefined) return undefined;
  if (owned.baseline === null) return undefined;
  if (application.applying.has(key) || entryOf(model, application.name)?.kind === "remove") return undefined;
  const run = application.head?.run;
  const desired = application.bundle?.desired().get(key);
  // Not in the bundle any more, and not pruned yet: there is nothing to heal it to.
  if (run === undefined || run === null || desired === undefined) return undefined;
  const seenAtMs = context.clock.now();
  const base = { application, tracked, owned, desired, run, seenAtMs };
  if (suspicion.kind === "differs")
    return { ...base, seen: suspicion.seen, kind: suspicion.isReplaced ? DriftKind.REPLACED : DriftKind.CHANGED };
  const there = await context.cluster.get(addressOfKey(key, owned), context.signal);
  if (there === undefined) return { ...base, seen: undefined, kind: DriftKind.DELETED };
  if (there.metadata.deletionTimestamp !== undefined) return retryMs;
  if (there.metadata.labels?.[agentLabel] === context.clusterId)
    return compare(owned.baseline, there) === "same" ? undefined : { ...base, seen: there, kind: DriftKind.CHANGED };
  return { ...base, seen: there, kind: DriftKind.LABEL_REMOVED };
}

const isUntouched = ({ owned, seen }: Case): boolean => seen !== undefined && compare(owned.baseline!, seen) === "same";

/** Report mode, a freeze, or an exception: what differs is said, and nothing is written but the label. */
async function observe(context: Context, found: Case): Promise<Again>;
async function observe(context: Context, found: Case, onlyExceptions: true): Promise<Again | "heal">;
async function observe(context: Context, found: Case, onlyExceptions = false): Promise<Again | "heal"> {
  const { tracked, desired, seen, application, run } = found;
  if (seen === undefined) {
    if (onlyExceptions) return "heal";
    open(context, found, gone(), "is missing");
    return undefined;
  }
  if (found.kind === DriftKind.LABEL_REMOVED) await restoreLabel(context, seen);
  const answer = await context.cluster.apply(desired.object, { force: true, dryRun: true, signal: context.signal });
  const explained = driftOf(answer, seen, context.salt);
  if (explained === undefined) {
    if (onlyExceptions) return "heal";
    end(context, application, tracked);
    return undefined;
  }
  const ref = parseRefKey(tracked.key);
  const exceptions = explained.fields.map(({ path }) => exceptionFor(run.delivery, ref, path, context.clock.now()));
  const covering = exceptions.find((exception) => exception !== undefined);
  if (onlyExceptions && covering === undefined) return "heal";
  open(context, found, explained, covering === undefined ? "" : `exception: ${covering.reason}`);
  // An exception ends by itself, also while nobody can be asked.
  const until = covering?.untilMs ?? null;
  return until === null ? undefined : Math.max(1, until - context.clock.now());
}

async function restoreLabel(context: Context, seen: KubeObject): Promise<void> {
  const labels = { ...seen.metadata.labels, [agentLabel]: context.clusterId };
  await context.cluster.replace({ ...seen, metadata: { ...seen.metadata, labels } }, context.signal);
}

async function correct(context: Context, found: Case): Promise<Again> {
  const { application, tracked, owned, desired, seen } = found;
  const sent = await send(context, tracked, desired, () =>
    context.cluster.apply(desired.object, { force: true, signal: context.signal }),
  );
  if (sent.ok) setOwned(context.model, application.name, tracked.key, sent.owned);
  context.released(tracked);
  context.touched(application);
  if (!sent.ok) return healFailed(context, found, sent.failure.message, sent.failure.final);
  application.problems.delete(tracked.key);
  const explained = seen === undefined ? gone() : driftOf(sent.answer, seen, context.salt);
  if (explained === undefined && found.kind === DriftKind.LABEL_REMOVED) {
    report(context, found, DriftState.HEALED, labelGone(seen!), "");
    return undefined;
  }
  if (explained === undefined) {
    const isHeldByAdmission = seen !== undefined && compare(owned.baseline!, seen) === "valuesChanged";
    // The answer kept the changed value: whoever admits writes here wants it so, and a second try would end the same.
    if (isHeldByAdmission && baselineOf(sent.answer, desired.object).valueHash !== owned.baseline!.valueHash)
      contest(context, found, { fields: [], tool: unknownTool, changedAtMs: 0 }, "admission gives another value");
    else end(context, application, tracked);
    return undefined;
  }
  tracked.episode = undefined;
  if (isFought(tracked, context.clock.monotonic())) {
    backOff(tracked, context.clock.monotonic());
    contest(context, found, explained, `healed ${tracked.heals.length} times in two minutes`);
    return undefined;
  }
  report(context, found, DriftState.HEALED, explained, "");
  return undefined;
}

function healFailed(context: Context, found: Case, message: string, isFinal: boolean): Again {
  const explained = { fields: [], tool: unknownTool, changedAtMs: 0 };
  open(context, found, found.seen === undefined ? gone() : explained, `could not be healed: ${message}`);
  return isFinal ? undefined : retryMs;
}

const gone = (): Explanation => ({ fields: [], tool: unknownTool, changedAtMs: 0 });
const labelGone = (seen: KubeObject): Explanation => ({
  fields: [{ path: `metadata.labels["${agentLabel}"]`, before: "", after: seen.metadata.labels?.[agentLabel] ?? "" }],
  tool: unknownTool,
  changedAtMs: 0,
});

/** Opens an episode, or says nothing when it is open already. */
function open(context: Context, found: Case, explained: Explanation, reason: string): void {
  if (found.tracked.episode !== undefined) return;
  const id = report(context, found, DriftState.SEEN, explained, reason);
  found.tracked.episode = { id, seenAtMs: found.seenAtMs, state: "seen" };
  context.touched(found.application);
}

function contest(context: Context, found: Case, explained: Explanation, reason: string): void {
  const id = report(context, found, DriftState.CONTESTED, explained, reason);
  found.tracked.episode = { id, seenAtMs: found.seenAtMs, state: "contested" };
  context.touched(found.application);
}

/** What differed does no more: by our hand is told by "healed", by another's here. */
function end(context: Context, application: ApplicationState, tracked: Tracked): void {
  const { episode } = tracked;
  if (episode === undefined) return;
  tracked.episode = undefined;
  record(context, application, {
    $case: "drift",
    value: {
      episode: episode.id,
      object: parseRefKey(tracked.key),
      kind: DriftKind.CHANGED,
      state: DriftState.ENDED,
      fields: [],
      tool: "",
      changedAtMs: 0n,
      seenAtMs: BigInt(episode.seenAtMs),
      healedAtMs: 0n,
      heals: tracked.heals.length,
      nextHealAtMs: 0n,
      reason: "equal again",
    },
  });
  context.touched(application);
}

function report(context: Context, found: Case, state: DriftState, explained: Explanation, reason: string): string {
  const { application, tracked, seenAtMs } = found;
  const now = context.clock.now();
  const id = tracked.episode?.id ?? randomUUID();
  record(context, application, {
    $case: "drift",
    value: {
      episode: id,
      object: parseRefKey(tracked.key),
      kind: found.kind,
      state,
      fields: [...explained.fields],
      tool: explained.tool,
      changedAtMs: BigInt(explained.changedAtMs),
      seenAtMs: BigInt(tracked.episode?.seenAtMs ?? seenAtMs),
      healedAtMs: state === DriftState.HEALED ? BigInt(now) : 0n,
      heals: tracked.heals.length,
      nextHealAtMs:
        state === DriftState.CONTESTED
          ? BigInt(now + Math.max(0, Math.round(tracked.notBefore - context.clock.monotonic())))
          : 0n,
      reason,
    },
  });
  const fields = { object: describeRef(parseRefKey(tracked.key)), tool: explained.tool, application: application.name };
  context.log.info(fields, state === DriftState.HEALED ? "drift healed" : "drift");
  return id;
}
