import type { Writer } from "#agent/authority/writer.ts";
import { isProtected } from "#agent/apply/prune.ts";
import { refOf, type KubeObject } from "#proto/object.ts";
import type { Desired } from "./bundles.ts";
import { goOnWithRoom } from "./deletion-room.ts";
import { addressOfKey, record, writerOf, type Context } from "./context.ts";
import type { ApplicationState, Tracked } from "./model.ts";
import { isOurs, send, type Sent } from "./send.ts";
import { describeRef, parseRefKey } from "#proto/object.ts";

/** On an object of ours: what cannot be changed is deleted and made anew. Never for a kind that takes others', or data, with it. */
const recreateAnnotation = "plumbline.dev/recreate";
/** A name that nothing has, to ask whether the object would be taken if it were new. */
const trialSuffix = "-recreate";

/** Refused as invalid, and its own annotation allows the way out. */
export const mayRecreate = ({ object }: Desired, sent: Sent): boolean =>
  !sent.ok &&
  sent.failure.final &&
  sent.failure.reason === "Invalid" &&
  object.metadata.annotations?.[recreateAnnotation] === "allow" &&
  !isProtected(refOf(object));

/** Deletes the object and makes it anew, if it is ours and the server would take the new one. Otherwise the refusal stands. */
export async function recreate(
  context: Context,
  application: ApplicationState,
  tracked: Tracked,
  desired: Desired,
  refused: Sent,
): Promise<Sent> {
  const { cluster, signal } = context;
  const writer = writerOf(context, application);
  const { object } = desired;
  const address = addressOfKey(tracked.key, object);
  const there = await cluster.get(address, signal);
  if (there === undefined || !isOurs(there, context) || !(await isValidAsNew(context, writer, object))) return refused;
  if (!context.breaker.take()) return refusedUntil(refused, goOnWithRoom(context, application));
  const anew = await send(context, tracked, desired, async () => {
    await writer.delete(address, { uid: there.metadata.uid ?? "", signal });
    return writer.apply(object, { signal });
  });
  // A finalizer may keep it for a while; the failure is a passing one then.
  const text = `${describeRef(parseRefKey(tracked.key))} is deleted and made anew, as its annotation ${recreateAnnotation} allows`;
  record(context, application, { $case: "notice", value: { text } });
  return anew;
}

function refusedUntil(refused: Sent, goesOn: string): Sent {
  if (refused.ok) return refused;
  const message = `${refused.failure.message}; the agent's limit of deletions an hour is reached: it is made anew at ${goesOn}`;
  return { ok: false, failure: { ...refused.failure, message } };
}

async function isValidAsNew({ signal }: Context, writer: Writer, object: KubeObject): Promise<boolean> {
  const name = `${object.metadata.name.slice(0, 253 - trialSuffix.length)}${trialSuffix}`;
  try {
    await writer.apply({ ...object, metadata: { ...object.metadata, name } }, { dryRun: true, signal });
    return true;
  } catch {
    return false;
  }
}
