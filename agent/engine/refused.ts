import type { WatchEvent } from "#agent/cluster/cluster.ts";
import { contentHash } from "#agent/drift/content.ts";
import { addressOfKey, type Context } from "./context.ts";
import { ownedOf, versionOf, type ApplicationState, type Tracked } from "./model.ts";

/** Of what others own no watch tells: it has not our label. Five minutes is soon enough for whoever made room for ours. */
const lookEveryMs = 300_000;
/** Objects of one Application that are looked at so: a takeover that was not thought through must not become a poll. */
const lookedAtOnce = 10;

/** Why an object was refused that is there already, by others. */
export const adoptionRefused = "AdoptionRefused";

const isRefused = (context: Context, application: ApplicationState, tracked: Tracked): boolean =>
  application.problems.get(tracked.key)?.final === true && ownedOf(context.model, tracked)?.baseline === null;

/**
 * What was refused for good is applied again when the object is another than it was then: its status says nothing of
 * that. What it was when it was refused is not known before its first event, which may cost one apply for nothing.
 */
export function noteRefused(
  context: Context,
  tracked: Tracked,
  { type, object }: Exclude<WatchEvent, { type: "BOOKMARK" }>,
): void {
  const application = context.model.applications.get(tracked.application);
  if (application === undefined || !isRefused(context, application, tracked)) return;
  const content = type === "DELETED" ? "" : contentHash(object);
  if (content !== "" && content === tracked.looked) return;
  tracked.looked = content;
  context.again(application);
}

/** Begins to look at what others own, after an apply that left it to them. */
export function lookAtOthers(context: Context, application: ApplicationState): void {
  const keys = [...application.problems].filter(([, { reason }]) => reason === adoptionRefused).map(([key]) => key);
  for (const key of keys.slice(0, lookedAtOnce)) {
    context.look(key);
  }
}

/** Whether others' object is as it was; applies it again when it is not. Gives when to look again. */
export async function lookAtOthersObject(
  context: Context,
  application: ApplicationState,
  tracked: Tracked,
): Promise<number | undefined> {
  const { others, key } = tracked;
  const isTheirs = application.problems.get(key)?.reason === adoptionRefused;
  const owned = ownedOf(context.model, tracked);
  if (!isTheirs || owned === undefined || others === undefined) return undefined;
  const now = context.clock.monotonic();
  // Begun by an earlier apply: the one since has its own.
  if (now < others.nextAt - lookEveryMs / 2) return undefined;
  if (others.nextAt > 0) {
    const there = await context.cluster.get(addressOfKey(key, owned), context.signal);
    if ((there === undefined ? 0n : versionOf(there)) !== others.version) {
      context.again(application);
      return undefined;
    }
  }
  tracked.others = { ...others, nextAt: now + lookEveryMs };
  return lookEveryMs;
}
