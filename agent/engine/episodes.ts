import { randomUUID } from "node:crypto";
import { unknownTool, type Explanation } from "#agent/drift/explain.ts";
import { DriftKind, DriftState } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { describeRef, parseRefKey } from "#proto/object.ts";
import { record, type Context } from "./context.ts";
import type { ApplicationState, Tracked } from "./model.ts";

/** What an episode tells of, whoever found it. */
export type Found = {
  readonly application: ApplicationState;
  readonly tracked: Tracked;
  readonly kind: DriftKind;
  readonly seenAtMs: number;
};

/** Nothing more is known than that it differs. */
export const unexplained: Explanation = { fields: [], tool: unknownTool, changedAtMs: 0 };

/** Opens an episode, or says nothing when it is open already. `againMs`: until it is healed, or its heal tried again, by the clock. */
export function open(context: Context, found: Found, explained: Explanation, reason: string, againMs?: number): void {
  if (found.tracked.episode !== undefined) return;
  const id = report(context, found, DriftState.SEEN, explained, reason, againMs);
  found.tracked.episode = { id, seenAtMs: found.seenAtMs, state: "seen" };
  context.touched(found.application);
}

/**
 * Somebody keeps changing it back: said once, and again only when it says more. `isHeld`: by the API server itself, which
 * is not asked again before the object is another.
 */
export function contest(
  context: Context,
  found: Found,
  explained: Explanation,
  reason: string,
  { isHeld = false }: { isHeld?: boolean } = {},
): void {
  const waitMs = Math.max(0, Math.round(found.tracked.notBefore - context.clock.monotonic()));
  const againMs = isHeld ? undefined : waitMs;
  const id = report(context, found, DriftState.CONTESTED, explained, reason, againMs);
  found.tracked.episode = { id, seenAtMs: found.seenAtMs, state: "contested" };
  context.touched(found.application);
}

/** What differed does no more: by our hand is told by "healed", by another's here. */
export function end(context: Context, application: ApplicationState, tracked: Tracked): void {
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
      heals: tracked.healed,
      nextHealAtMs: 0n,
      reason: "equal again",
    },
  });
  context.touched(application);
}

/** Healed: the end of the episode that was open, or of one that nobody needed to be told of before. */
export function healed(context: Context, found: Found, explained: Explanation): void {
  report(context, found, DriftState.HEALED, explained, "");
  found.tracked.episode = undefined;
}

/** Healed beside an episode that stays open: an exception holds other fields of the same object. */
export function healedBeside(context: Context, found: Found, explained: Explanation): void {
  const { episode } = found.tracked;
  found.tracked.episode = undefined;
  report(context, found, DriftState.HEALED, explained, "");
  found.tracked.episode = episode;
}

function report(
  context: Context,
  found: Found,
  state: DriftState,
  explained: Explanation,
  reason: string,
  againMs?: number,
): string {
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
      heals: tracked.healed,
      nextHealAtMs: againMs === undefined ? 0n : BigInt(Math.round(now + againMs)),
      reason,
    },
  });
  const fields = { object: describeRef(parseRefKey(tracked.key)), tool: explained.tool, application: application.name };
  context.log.info(fields, state === DriftState.HEALED ? "drift healed" : "drift");
  return id;
}
