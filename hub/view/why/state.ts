import type { SeenDrift } from "#hub/view/view.ts";
import { driftKindWord, healthWord } from "#hub/view/words.ts";
import { age } from "#lib/age.ts";
import type { WhyLine } from "#proto/api.ts";
import { DriftState, Health, type ObjectStatus } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { describeRef, refKey } from "#proto/object.ts";
import type { Facts } from "./facts.ts";
import { soon } from "./way.ts";

const shownLines = 5;

/** What is seen on the cluster: objects that are not well and why, and what differs from what was applied. */
export const stateOf = (facts: Facts): WhyLine[] => [...healthLines(facts), ...driftLines(facts)];

const order: readonly Health[] = [
  Health.FAILED,
  Health.NOT_FOUND,
  Health.TERMINATING,
  Health.IN_PROGRESS,
  Health.UNKNOWN,
];

/** What is not well of the object that was asked about, or of all, worst first. */
export const illOf = ({ status, scope: { object } }: Facts): readonly ObjectStatus[] =>
  (status?.status.exceptional ?? [])
    .filter(
      ({ object: ref, health }) =>
        health !== Health.CURRENT && (object === undefined || (ref !== undefined && refKey(ref) === refKey(object))),
    )
    .toSorted((a, b) => order.indexOf(a.health) - order.indexOf(b.health));

function healthLines(facts: Facts): WhyLine[] {
  const { nowMs } = facts;
  const ill = illOf(facts);
  const lines = ill.slice(0, shownLines).map(({ object: ref, health, reason, sinceMs }) => {
    const since = sinceMs === 0n ? "" : ` for ${age(nowMs - Number(sinceMs))}`;
    return {
      about: "health",
      text: `${ref === undefined ? "?" : describeRef(ref)} ${healthWord(health)}${since}: ${reason}`,
    };
  });
  const more = ill.length - lines.length;
  return more > 0 ? [...lines, { about: "health", text: `${more} more that are not well` }] : lines;
}

function driftLines({ drift, nowMs }: Facts): WhyLine[] {
  const lines = drift.slice(0, shownLines).map((seen) => ({ about: "drift", text: driftSentence(seen, nowMs) }));
  const more = drift.length - lines.length;
  return more > 0 ? [...lines, { about: "drift", text: `${more} more: plumb drift` }] : lines;
}

function driftSentence({ drift }: SeenDrift, nowMs: number): string {
  const { object, kind, fields, tool, changedAtMs, seenAtMs } = drift;
  const [first] = fields;
  const what =
    first === undefined
      ? driftKindWord(kind)
      : `${first.path} ${first.before || "(none)"} → ${first.after || "(none)"}${fields.length > 1 ? ` and ${fields.length - 1} more` : ""}`;
  const at = Number(changedAtMs) || Number(seenAtMs);
  const by = tool === "" ? "" : ` by ${tool}`;
  return `${object === undefined ? "?" : describeRef(object)}: ${what}${by}, ${age(nowMs - at)} ago: ${outcomeOf(drift, nowMs)}`;
}

function outcomeOf(
  { state, heals, nextHealAtMs, healedAtMs, seenAtMs, reason }: SeenDrift["drift"],
  nowMs: number,
): string {
  const why = reason === "" ? "" : `: ${reason}`;
  switch (state) {
    case DriftState.HEALED:
      return `healed in ${Math.max(0, Number(healedAtMs - seenAtMs))} ms`;
    case DriftState.CONTESTED:
      return nextHealAtMs === 0n
        ? `contested${why}; not healed before the object is another`
        : `contested${why}; healed ${heals} times, next heal ${soon(Number(nextHealAtMs), nowMs)}`;
    case DriftState.ENDED:
      return `over${why}`;
    default:
      return `not healed${why}`;
  }
}
