import { isKept, isPruneAllowed, type Candidate } from "#agent/apply/prune.ts";
import { forbiddenBy } from "#agent/authority/limits.ts";
import { reasonOf } from "#lib/log.ts";
import { describeRef, parseRefKey, refOf, type KubeObject, type ObjectRef } from "#proto/object.ts";
import { addressOfKey, record, writerOf, type Context } from "./context.ts";
import { deleteOurs, livingObject } from "./living.ts";
import type { ApplicationState } from "./model.ts";
import { release, tell, type Outcome } from "./prune-outcome.ts";
import { isOurs } from "./send.ts";

/** Deletes what was planned, one after the other. What cannot be deleted holds up none of the others; thrown at the end. */
export async function deleteAll(
  context: Context,
  application: ApplicationState,
  candidates: readonly Candidate[],
  protectedByPolicy: readonly string[],
  signal: AbortSignal,
): Promise<Outcome> {
  const deleted: ObjectRef[] = [];
  const orphaned: ObjectRef[] = [];
  let failure: unknown;
  for (const { key, owned } of candidates) {
    // A heal that is on its way would make again what is deleted now.
    while (context.model.tracked.get(key)?.inFlight !== undefined) await context.model.tracked.get(key)?.inFlight;
    signal.throwIfAborted();
    const ref = parseRefKey(key);
    const newest = { key, owned: application.head?.inventory.get(key) ?? owned };
    try {
      const end = await deleteOne(context, application, newest, protectedByPolicy, signal);
      if (end === "noRoom") return { deleted, orphaned, stopped: noRoomFor(ref) };
      if (end === "deleted") deleted.push(ref);
      if (end === "orphaned") orphaned.push(ref);
      release(context, application, key);
    } catch (error) {
      signal.throwIfAborted();
      failure ??= new Error(`${describeRef(ref)} is not deleted: ${reasonOf(error)}`, { cause: error });
    }
  }
  const outcome = { deleted, orphaned, stopped: undefined };
  if (failure === undefined) return outcome;
  tell(context, application, outcome);
  throw failure;
}

/** What becomes of one that is to go. Gone: it was not there, or is another's. */
type End = "deleted" | "orphaned" | "gone" | "noRoom";

async function deleteOne(
  context: Context,
  application: ApplicationState,
  { key, owned }: Candidate,
  protectedByPolicy: readonly string[],
  signal: AbortSignal,
): Promise<End> {
  const ref = parseRefKey(key);
  // The limits of this cluster may be narrower than when it was applied: hands off, and said.
  if (forbiddenBy(context.authority.limits, context.namespace, ref) !== undefined) return "orphaned";
  const address = addressOfKey(key, owned);
  // The living object has the last word: whether it is ours, and whether it says that nobody deletes it.
  const there = await livingObject(context, address);
  // Asking took time, in which it may have been wanted again.
  signal.throwIfAborted();
  if (there === undefined || (owned.uid === "" && !isOurs(there, context))) return "gone";
  const { annotations } = there.metadata;
  if (isKept(annotations) || !isPruneAllowed(ref, annotations, protectedByPolicy)) return "orphaned";
  if (!context.breaker.take()) return "noRoom";
  const uid = owned.uid === "" ? (there.metadata.uid ?? "") : owned.uid;
  if (!(await deleteOurs(context, writerOf(context, application), address, uid))) return "gone";
  tellFinalizers(context, application, there);
  return "deleted";
}

const noRoomFor = (ref: ObjectRef): string =>
  `the agent's limit of deletions an hour is reached: ${describeRef(ref)} and what follows stay for now`;

/** They are never stripped: whoever put them there says when they are done. */
function tellFinalizers(context: Context, application: ApplicationState, { metadata, ...object }: KubeObject): void {
  const { finalizers = [], deletionTimestamp = new Date(context.clock.now()).toISOString() } = metadata;
  if (finalizers.length === 0) return;
  const what = describeRef(refOf({ ...object, metadata }));
  const text = `${what}: its deletion, asked for at ${deletionTimestamp}, waits for its finalizers (${finalizers.join(", ")})`;
  record(context, application, { $case: "notice", value: { text } });
}
