import { trailOf } from "#agent/health/trail.ts";
import type { KubeObject } from "#proto/object.ts";
import type { Context } from "./context.ts";
import { ownedOf, unseen, type Tracked } from "./model.ts";

/** Judges the health of an object as it was seen or answered. True when the verdict or its reason is another than before. */
export function noteHealth(context: Context, tracked: Tracked, object: KubeObject): boolean {
  const before = tracked.health;
  const health = context.healthOf(object);
  tracked.health = health;
  context.verdictsInTime.note(tracked, health.changesAtMs);
  if (health.state === before.state && health.reason === before.reason) return false;
  if (health.state !== before.state)
    tracked.healthSinceMs = isOfBefore(context, tracked, before) ? 0 : context.clock.now();
  context.causes.note(tracked, trailOf(object, health));
  return true;
}

/** It is gone, and is not made again for now: whatever it was, it is not well. */
export function noteMissing(context: Context, tracked: Tracked, reason: string): void {
  if (tracked.health.state !== "NotFound") tracked.healthSinceMs = context.clock.now();
  tracked.health = { state: "NotFound", reason };
  context.verdictsInTime.note(tracked, undefined);
  context.causes.note(tracked, undefined);
}

/** First sight of what an earlier life of this agent applied: since when it is as it is, nobody here knows. */
const isOfBefore = ({ model }: Context, tracked: Tracked, before: Tracked["health"]): boolean =>
  before === unseen && (ownedOf(model, tracked)?.baseline ?? null) !== null;
