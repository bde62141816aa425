import type { Failure } from "#agent/apply/failure.ts";
import { leavingAlone } from "#agent/drift/yields.ts";
import type { Owned } from "#agent/state/head.ts";
import type { RunEntry } from "#proto/desired-state.ts";
import { describeRef, parseRefKey, type KubeObject } from "#proto/object.ts";
import { isKnownAbsent } from "./absent.ts";
import type { Desired } from "./bundles.ts";
import { addressOfKey, record, type Context } from "./context.ts";
import { end } from "./episodes.ts";
import { exceptionFor } from "./exceptions.ts";
import { setOwned, track, versionOf, type ApplicationState } from "./model.ts";
import { createOnce } from "./once.ts";
import { mayRecreate, recreate } from "./recreate.ts";
import { firstContact, send, type Sent } from "./send.ts";
import { applyServed } from "./served.ts";
import type { Work } from "./work.ts";
import { yieldablePaths, yielding } from "./yielding.ts";

/** One try. Gives what went wrong. */
export async function applyOne(
  context: Context,
  application: ApplicationState,
  work: Work,
  key: string,
  signal: AbortSignal,
): Promise<Failure | undefined> {
  signal.throwIfAborted();
  const desired = work.desired.get(key)!;
  const tracked = track(context.model, key, application.name);
  const owned = application.head!.inventory.get(key);
  const isFirst = owned === undefined || owned.uid === "";
  const namespace = desired.object.metadata.namespace ?? "";
  const run = application.head!.run!;
  const present = desired.once === true ? desired : await applicable(context, key, desired, owned, run);
  const apply = (found: (there: KubeObject) => void): Promise<KubeObject> => {
    if (desired.once === true) return createOnce(context, context.writer(run.delivery), desired);
    const isAbsent = isKnownAbsent(context, work, key) || work.fresh.has(namespace);
    if (isFirst)
      return firstContact(context, desired, run, isAbsent, (there) => {
        tracked.others = { version: versionOf(there), nextAt: 0 };
        found(there);
      });
    return applyServed(context, context.writer(run.delivery), present.object, { force: true });
  };
  const answered: Sent = await context.telemetry.traced("agent.apply.object", { attributes: { object: key } }, () =>
    send(context, tracked, present, apply),
  );
  const sent = mayRecreate(desired, answered)
    ? await recreate(context, application, tracked, present, answered)
    : answered;
  if (!sent.ok) {
    const before = application.problems.get(key);
    if (before?.message !== sent.failure.message) tellProblem(context, application, key, sent.failure);
    application.problems.set(key, sent.failure);
    context.released(tracked);
    context.touched(application);
    return sent.failure;
  }
  application.problems.delete(key);
  // Whatever it was when it was looked at, it is that no more: the same edit as before is news.
  tracked.looked = "";
  tracked.others = undefined;
  // From here on it is watched over, though the rest of its wave may take minutes.
  application.applying.delete(key);
  setOwned(context.model, application.name, key, sent.owned);
  // What differed before was written over, but for what is left to others.
  if ((present.yielded ?? []).length === 0) end(context, application, tracked);
  context.released(tracked);
  application.counts[sent.effect] += 1;
  if (desired.object.kind === "Namespace" && sent.effect === "created") work.fresh.add(desired.object.metadata.name);
  return undefined;
}

/** The desired form without what controllers and exceptions have; only where they may is the object read first. */
async function applicable(
  context: Context,
  key: string,
  desired: Desired,
  owned: Owned | undefined,
  { delivery }: RunEntry,
): Promise<Desired> {
  const excepted = (owned?.yielded ?? []).filter(
    (path) => exceptionFor(delivery, parseRefKey(key), path, context.clock.now()) !== undefined,
  );
  if (excepted.length === 0 && yieldablePaths(context, key, desired.object).length === 0) return desired;
  const live = await context.cluster.get(addressOfKey(key, owned ?? desired.object), context.signal);
  const { object, yielded = [] } = yielding(context, key, desired, live);
  if (live === undefined || excepted.length + yielded.length === 0) return desired;
  return { ...desired, object: leavingAlone(object, live, excepted), yielded: [...yielded, ...excepted] };
}

function tellProblem(context: Context, application: ApplicationState, key: string, failure: Failure): void {
  const { reason, message, final } = failure;
  record(context, application, {
    $case: "problem",
    value: { object: parseRefKey(key), reason, message, final, nextTryAtMs: 0n },
  });
  context.log.warn({ application: application.name, object: describeRef(parseRefKey(key)), reason }, "apply refused");
}
