import type { Writer } from "#agent/authority/writer.ts";
import { ApiError } from "#agent/cluster/errors.ts";
import { describeRef, parseRefKey, refKey, refOf, type KubeObject } from "#proto/object.ts";
import type { Desired } from "./bundles.ts";
import { addressOfKey, record, type Context } from "./context.ts";
import { setOwned } from "./model.ts";
import { noteMissing } from "./note-health.ts";
import { send } from "./send.ts";
import { isStill, retryMs, type Again, type Case } from "./suspects.ts";

/** The object as it is; made where it is absent. Whoever else has made it keeps it as it is. */
export async function createOnce(
  { cluster, signal }: Context,
  writer: Writer,
  { object }: Desired,
): Promise<KubeObject> {
  const address = addressOfKey(refKey(refOf(object)), object);
  const there = await cluster.get(address, signal);
  if (there !== undefined) return there;
  try {
    return await writer.apply(object, { signal });
  } catch (error) {
    // Somebody was faster.
    const since = error instanceof ApiError && error.status === 409 ? await cluster.get(address, signal) : undefined;
    if (since === undefined) throw error;
    return since;
  }
}

/** What is created once was deleted: it is made again, with the content of the bundle that runs. */
export async function createAgain(context: Context, found: Case): Promise<Again> {
  const { application, tracked, desired } = found;
  const sent = await send(
    context,
    tracked,
    desired,
    () => createOnce(context, context.writer(found.run.delivery), desired),
    () => isStill(context, found),
  );
  context.released(tracked);
  context.touched(application);
  if (!sent.ok) {
    noteMissing(context, tracked, `could not be created again: ${sent.failure.message}`);
    if (!sent.failure.final) return retryMs;
    tracked.isRefused = true;
    return undefined;
  }
  setOwned(context.model, application.name, tracked.key, sent.owned);
  context.remember(application);
  const text = `${describeRef(parseRefKey(tracked.key))} was gone, and is created again: it is there once, and never updated`;
  record(context, application, { $case: "notice", value: { text } });
  return undefined;
}
