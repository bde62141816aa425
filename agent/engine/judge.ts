import type { ObjectList, WatchEvent } from "#agent/cluster/cluster.ts";
import { compare } from "#agent/drift/baseline.ts";
import { contentHash } from "#agent/drift/content.ts";
import { isDone } from "#agent/drift/yields.ts";
import { refKey, refOf, type KubeObject } from "#proto/object.ts";
import type { Context } from "./context.ts";
import { verdictOf } from "./hook-objects.ts";
import { entryOf, isAnother, ownedOf, setOwned, unseen, versionOf, type HookSlot, type Tracked } from "./model.ts";
import { isOurs } from "./send.ts";
import { noteHealth } from "./note-health.ts";
import { noteRefused } from "./refused.ts";
import { foreignOf, isStripped, tellForeign } from "./yielding.ts";

/** What an event gives reason to look at. */
export type Suspicion =
  | { readonly kind: "differs"; readonly seen: KubeObject; readonly isReplaced: boolean }
  /** Deleted, or without our label: only a GET by name tells. */
  | { readonly kind: "missing" };

type Suspect = (key: string, suspicion: Suspicion) => void;
type Change = Exclude<WatchEvent, { type: "BOOKMARK" }>;

/** Judges one watch event. Objects that no inventory names are nobody's business, whatever their labels say. */
export function judgeEvent(context: Context, event: Change, suspect: Suspect): void {
  const key = refKey(refOf(event.object));
  const slot = context.model.hooks.get(key);
  if (slot !== undefined) noteHook(context, slot, event);
  const tracked = context.model.tracked.get(key);
  if (tracked === undefined) return;
  if (tracked.inFlight !== undefined) {
    tracked.held = event;
    return;
  }
  const version = versionOf(event.object);
  if (version <= tracked.version) return;
  tracked.version = version;
  noteRefused(context, tracked, event);
  if (event.type === "DELETED") noteDone(context, tracked, event.object);
  if (event.type === "DELETED") suspect(tracked.key, { kind: "missing" });
  else judgeObject(context, tracked, event.object, suspect);
}

/** What was held while an apply was in flight, once its answer is here. */
export function judgeHeld(context: Context, tracked: Tracked, suspect: Suspect): void {
  const { held } = tracked;
  tracked.held = undefined;
  if (held !== undefined) judgeEvent(context, held, suspect);
}

/** What is confirmed of a kind: the versions `before` its LIST was asked for, and the objects `now`. */
export type Confirmed = { readonly before: ReadonlyMap<string, bigint>; readonly now: readonly Tracked[] };

/**
 * Judges everything of one kind after a LIST. A list older than what was seen before it was asked for, or an object in a
 * newer list that is older than it was seen then, means that the server went back in time: versions are forgotten and
 * hashes alone compared. What was written while the list was on its way says nothing of that.
 */
export function judgeList(context: Context, list: ObjectList, { before, now }: Confirmed, suspect: Suspect): void {
  const listed = BigInt(list.resourceVersion);
  const found = new Map(list.items.map((object) => [refKey(refOf(object)), object]));
  const isOlder = ({ key, inFlight }: Tracked): boolean => {
    const version = before.get(key) ?? 0n;
    return inFlight === undefined && (version > listed || version > versionIn(found, key, version));
  };
  const wentBack = now.some(isOlder);
  if (wentBack) for (const tracked of now) tracked.version = 0n;
  if (wentBack) context.memoryDoubted();
  for (const object of list.items) {
    const slot = context.model.hooks.get(refKey(refOf(object)));
    if (slot !== undefined) noteHook(context, slot, { type: "MODIFIED", object });
  }
  for (const tracked of now) {
    const object = found.get(tracked.key);
    if (object !== undefined) judgeEvent(context, { type: "MODIFIED", object }, suspect);
    // Applied after the list was made, or being applied: not missing.
    else if (tracked.version <= listed && tracked.inFlight === undefined) {
      if (ownedOf(context.model, tracked)?.done === true) noteGone(context, tracked);
      else suspect(tracked.key, { kind: "missing" });
    }
  }
}

const versionIn = (found: ReadonlyMap<string, KubeObject>, key: string, otherwise: bigint): bigint => {
  const object = found.get(key);
  return object === undefined ? otherwise : versionOf(object);
};

/** Cleaned away after it was done: that is well, whatever was seen of it last. */
export function noteGone(context: Context, tracked: Tracked): void {
  const { state } = tracked.health;
  if (state !== doneHealth.state && tracked.health !== unseen) tracked.healthSinceMs = context.clock.now();
  tracked.health = doneHealth;
  context.verdictsInTime.note(tracked, undefined);
  context.causes.note(tracked, undefined);
}

const doneHealth = { state: "Current", reason: "completed, and gone since" } as const;

/** What a hook made: whoever waits for it looks. One that failed is tried again when a person has deleted it. */
function noteHook(context: Context, slot: HookSlot, { type, object }: Change): void {
  // Of what stood there before, and not of what took its place once that was gone.
  if (slot.seen !== undefined && slot.seen.metadata.uid !== object.metadata.uid && !slot.isGone) return;
  if (slot.seen !== undefined && versionOf(object) < versionOf(slot.seen)) return;
  slot.seen = object;
  slot.isGone = type === "DELETED";
  const application = context.model.applications.get(slot.application);
  if (application === undefined) return;
  if (slot.isFailed && (slot.isGone || verdictOf(object)?.ok === true)) context.again(application);
  else context.touched(application);
}

/** Remembered, so that a finished Job that is cleaned away is not run again. */
function noteDone(context: Context, tracked: Tracked, object: KubeObject): void {
  const owned = ownedOf(context.model, tracked);
  if (owned === undefined || owned.baseline === null || owned.done === true || !isDone(object)) return;
  if (owned.uid !== object.metadata.uid) return;
  setOwned(context.model, tracked.application, tracked.key, { ...owned, done: true });
  context.remember(context.model.applications.get(tracked.application)!);
}

/** By rules that changed, at the version that was seen last or a newer one; drift is none of this. */
export function judgeHealthAgain(context: Context, object: KubeObject): void {
  const tracked = context.model.tracked.get(refKey(refOf(object)));
  if (tracked === undefined || tracked.inFlight !== undefined || versionOf(object) < tracked.version) return;
  if (noteHealth(context, tracked, object)) context.touched(context.model.applications.get(tracked.application)!);
}

function judgeObject(context: Context, tracked: Tracked, object: KubeObject, suspect: Suspect): void {
  const { model } = context;
  const application = model.applications.get(tracked.application)!;
  if (noteHealth(context, tracked, object)) context.touched(application);
  const owned = ownedOf(model, tracked);
  // Pending: it will be applied anyway. Terminating: wait until it is gone.
  if (owned?.baseline === null || owned === undefined || object.metadata.deletionTimestamp !== undefined) return;
  if (entryOf(model, tracked.application)?.kind === "remove") {
    tracked.isUnjudged = true;
    return;
  }
  noteDone(context, tracked, object);
  if (owned.once === true) return;
  const { delivery } = application.head?.run ?? {};
  const foreign = delivery === undefined ? [] : foreignOf(context, tracked.key, owned, delivery, object);
  const isReplaced = isAnother(owned, object);
  if (isReplaced && isOurs(object, context)) {
    const fields = { object: tracked.key, before: owned.uid, now: object.metadata.uid };
    context.log.warn(fields, "adopted again: the object came back under another uid with our own fields");
    setOwned(model, tracked.application, tracked.key, { ...owned, uid: object.metadata.uid ?? "" });
  }
  const verdict = compare(owned.baseline, object);
  // What was taken from us is no foreign field: it is told once the heal has it back.
  // In a strict Application it is drift, and told as such.
  if (verdict === "same" && !isStripped(delivery)) tellForeign(context, application, tracked, foreign);
  // Told, refused or contested at this very content: a status that changes all the time is no reason to ask again.
  if (tracked.looked !== "" && tracked.looked === contentHash(object)) return;
  if (verdict !== "same" || (isReplaced && !isOurs(object, context)))
    suspect(tracked.key, { kind: "differs", seen: object, isReplaced: isReplaced && !isOurs(object, context) });
  else if (tracked.episode !== undefined || (isStripped(delivery) && foreign.length > 0))
    suspect(tracked.key, { kind: "differs", seen: object, isReplaced: false });
}
