import { canonicalJson, stringifyJson } from "#proto/json.ts";
import type { KubeObject } from "#proto/object.ts";
import { DriftKind, DriftState } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { nameOf } from "./judge.ts";
import type { Disagreement, Step } from "./round.ts";

/** All that is needed to make a numbered case of a failure. */
export function tell(seed: number, step: Step, disagreements: readonly Disagreement[]): string {
  const lines = [
    `seed ${seed}: ${step.key}${step.isOffline ? " (the agent was down meanwhile)" : ""}`,
    ...disagreements.map(({ about, path, text }) => `  ${about}${path === "" ? "" : ` ${path}`}: ${text}`),
    `  before: ${stringifyJson(step.before)}`,
    ...step.edits.flatMap(({ verb, manager, body, after }, index) => [
      `  ${verb} by ${manager}: ${body}`,
      `    gave: ${after === undefined ? "nothing" : stringifyJson(after)}`,
      `    server: ${askedText(step.asked[index])}`,
    ]),
    `  desired: ${stringifyJson(step.desired)}`,
    ...step.drifts.map(
      ({ kind, state, fields, tool, reason }) =>
        `  agent: ${nameOf(DriftKind, kind)} ${nameOf(DriftState, state)} by ${tool}: ${stringifyJson(fields)} ${reason}`,
    ),
    `  agent: ${step.writes} writes; foreign ${stringifyJson([...(step.told ?? [])])}`,
    `  after: ${stringifyJson(step.after ?? null)}`,
    `    server: ${askedText(step.askedAfter)}`,
  ];
  return `${lines.join("\n")}\n`;
}

const entriesOf = ({ metadata }: KubeObject): string[] =>
  (metadata.managedFields ?? []).map(({ manager, operation, subresource = "", fieldsV1 = {} }) =>
    canonicalJson({ manager, operation, subresource, fieldsV1 }),
  );

function askedText(asked: Step["askedAfter"] | undefined): string {
  if (asked?.kind !== "answered") return asked?.kind === "refused" ? `refuses: ${asked.message}` : "it is gone";
  const changes = asked.changes.map(
    ({ path, from, to, owner }) => `${path}: ${stringifyJson(from ?? null)} -> ${stringifyJson(to ?? null)} (${owner})`,
  );
  const [now, then] = [entriesOf(asked.live), entriesOf(asked.answer)];
  const owners =
    asked.owners === "same"
      ? ""
      : `; owners ${now.filter((one) => !then.includes(one)).join("; ")} -> ${then.filter((one) => !now.includes(one)).join("; ")}`;
  return `${changes.join("; ") || "no value"}${owners}`;
}
