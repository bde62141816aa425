import type { Writer } from "#agent/authority/writer.ts";
import { failureOf, type Failure } from "#agent/apply/failure.ts";
import { ApiError } from "#agent/cluster/errors.ts";
import { baselineOf } from "#agent/drift/baseline.ts";
import { driftOf } from "#agent/drift/explain.ts";
import { ownEntry } from "#agent/drift/fields.ts";
import type { Owned } from "#agent/state/head.ts";
import type { RunEntry } from "#proto/desired-state.ts";
import { DriftKind } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { refKey, refOf, type KubeObject } from "#proto/object.ts";
import { takeOver, trackingMark } from "./adopt.ts";
import { agentLabel, type Desired } from "./bundles.ts";
import { addressOfKey, type Context } from "./context.ts";
import { healed } from "./episodes.ts";
import { versionOf, type Tracked } from "./model.ts";
import { noteHealth } from "./note-health.ts";
import { adoptionRefused } from "./refused.ts";
import { foreignOf, isStripped, tellForeign, yielding } from "./yielding.ts";

export type Sent =
  | { readonly ok: true; readonly answer: KubeObject; readonly owned: Owned; readonly effect: Effect }
  | { readonly ok: false; readonly failure: Failure };
export type Effect = "created" | "configured" | "unchanged";

/** While it waited for another write of the object, what was to be written became something else. */
export const superseded = "Superseded";

/**
 * One apply of one object, with its events held until the answer is here: the event of our own write comes before the
 * answer as often as not. One write of an object at a time, so that none is overtaken by an older one; what waited is
 * sent only if it `isWanted` still.
 */
export async function send(
  context: Context,
  tracked: Tracked,
  desired: Desired,
  apply: (found: (there: KubeObject) => void) => Promise<KubeObject>,
  isWanted: () => boolean = () => true,
): Promise<Sent> {
  while (tracked.inFlight !== undefined) await tracked.inFlight;
  context.signal.throwIfAborted();
  if (!isWanted()) return failed(superseded, "something newer is wanted");
  let landed = (): void => undefined;
  tracked.inFlight = new Promise((resolve) => (landed = resolve));
  let before = tracked.version;
  try {
    const answer = await apply((there) => void (before = versionOf(there)));
    const version = versionOf(answer);
    if (version > tracked.version) tracked.version = version;
    noteHealth(context, tracked, answer);
    if (answer.metadata.deletionTimestamp !== undefined)
      return failed("Terminating", "is being deleted; it is applied again once it is gone");
    const effect = effectOf(answer, before);
    const owned = {
      apiVersion: answer.apiVersion,
      uid: answer.metadata.uid ?? "",
      applied: desired.hash,
      baseline: baselineOf(answer, desired.object),
      ...(desired.yielded === undefined || desired.yielded.length === 0 ? {} : { yielded: desired.yielded }),
    };
    if (desired.once === true) return { ok: true, answer, owned: onceOf(context, owned, answer), effect };
    const application = context.model.applications.get(tracked.application);
    const delivery = application?.head?.run?.delivery;
    if (application !== undefined && delivery !== undefined) {
      const foreign = foreignOf(context, tracked.key, owned, delivery, answer);
      if (!isStripped(delivery)) tellForeign(context, application, tracked, foreign);
      else if (foreign.length > 0) context.look(tracked.key);
    }
    return { ok: true, answer, owned, effect };
  } catch (error) {
    context.signal.throwIfAborted();
    return { ok: false, failure: failureOf(error) };
  } finally {
    tracked.inFlight = undefined;
    landed();
  }
}

/**
 * An object that no inventory of ours names: taken only as its Application's adoption rule allows. `found`: told of the
 * object that is there already.
 */
export async function firstContact(
  context: Context,
  desired: Desired,
  run: RunEntry,
  isFresh: boolean,
  found: (there: KubeObject) => void = () => undefined,
): Promise<KubeObject> {
  const { cluster, signal } = context;
  const writer = context.writer(run.delivery);
  const key = refKey(refOf(desired.object));
  const address = addressOfKey(key, desired.object);
  const leavingTaken = (live: KubeObject): KubeObject => yielding(context, key, desired, live).object;
  const there = isFresh ? undefined : await cluster.get(address, signal);
  if (there === undefined) return writer.apply(desired.object, { signal });
  found(there);
  if (isOurs(there, context)) return takeBack(context, writer, key, there, leavingTaken(there));
  const { adopt } = run.delivery;
  const mark = trackingMark(there, context.clusterId);
  if (adopt !== "take" && mark !== undefined)
    throw refused(`is managed by ${mark}; remove it there first, or set delivery.adopt: take`);
  if (adopt === "never") throw refused("exists already, and delivery.adopt is never");
  if (adopt === "ifEqual") {
    try {
      return await writer.apply(leavingTaken(there), { signal });
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 409) throw error;
      throw refused(
        `exists already and differs (${error.fields.join(", ") || "fields of others"}): make them equal, or set delivery.adopt: take`,
      );
    }
  }
  const taken = await writer.replace(takeOver(there), signal);
  return writer.apply(leavingTaken(taken), { force: true, signal });
}

/** Without a uid when somebody else has made it: then nothing here ever deletes it. */
const onceOf = (context: Context, owned: Owned, answer: KubeObject): Owned => ({
  ...owned,
  uid: isOurs(answer, context) ? owned.uid : "",
  once: true,
});

/**
 * An object of ours that no inventory names: the agent ended before it could say so, or its memory was lost. After a loss
 * nobody can tell drift from a newer revision: what differed is told as drift.
 */
async function takeBack(
  context: Context,
  writer: Writer,
  key: string,
  there: KubeObject,
  wanted: KubeObject,
): Promise<KubeObject> {
  const { model, signal, salt, clock } = context;
  const answer = await writer.apply(wanted, { force: true, signal });
  const tracked = model.tracked.get(key);
  const application = tracked && model.applications.get(tracked.application);
  if (tracked === undefined || application === undefined || application.memory === "kept") return answer;
  const explained = driftOf(answer, there, salt);
  if (explained !== undefined)
    healed(context, { application, tracked, kind: DriftKind.CHANGED, seenAtMs: clock.now() }, explained);
  return answer;
}

export const isOurs = (object: KubeObject, context: Pick<Context, "clusterId">): boolean =>
  object.metadata.labels?.[agentLabel] === context.clusterId && ownEntry(object) !== undefined;

/** Final: only another bundle, or a change of the object by a person, helps. */
const refused = (message: string): ApiError => new ApiError(422, { reason: adoptionRefused, message });

const failed = (reason: string, message: string): Sent => ({ ok: false, failure: { final: false, reason, message } });

// A no-op apply keeps the resourceVersion; a version that we had not seen may also be another's write before ours.
function effectOf(answer: KubeObject, before: bigint): Effect {
  if (before > 0n) return versionOf(answer) === before ? "unchanged" : "configured";
  return (answer.metadata.generation ?? 1) === 1 && answer.metadata.managedFields?.length === 1
    ? "created"
    : "configured";
}
