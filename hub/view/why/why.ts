import { age } from "#lib/age.ts";
import type { WhyAnswer } from "#proto/api.ts";
import { describeRef } from "#proto/object.ts";
import { ask } from "./ask.ts";
import { short, type Facts, type Question, type Refused, type Told, type WhyKnown } from "./facts.ts";
import { gather } from "./gather.ts";
import { nextOf } from "./next.ts";
import { stateOf } from "./state.ts";
import { wayOf } from "./way.ts";

export type Why = ({ readonly ok: true } & WhyAnswer) | Refused;

/** One causal chain in words: commit → promotion → gate → document → applied → health and drift → what happens next. */
export async function why(known: WhyKnown, question: Question, told: Told): Promise<Why> {
  const asked = ask(known, question);
  if (!asked.ok) return asked;
  return { ok: true, ...explain(await gather(known, asked.scope, told)) };
}

/** Pure: the same facts give the same words. */
export function explain(facts: Facts): WhyAnswer {
  const { scope, entry, asked, health } = facts;
  return {
    cluster: scope.cluster ?? "",
    environment: scope.environment,
    application: scope.application,
    object: scope.object === undefined ? "" : describeRef(scope.object),
    revision: asked !== "" ? asked : entry?.kind === "run" ? entry.revision : "",
    health,
    summary: summaryOf(facts),
    lines: [...othersLine(facts), ...wayOf(facts), ...stateOf(facts)],
    ...nextOf(facts),
  };
}

function summaryOf({ scope, status, entry, health, cluster, nowMs }: Facts): string {
  const revision = status?.status.revision ?? (entry?.kind === "run" ? entry.revision : "");
  const what = scope.object === undefined ? scope.application : `${describeRef(scope.object)} of ${scope.application}`;
  const name = [what, short(revision)].filter((part) => part !== "").join(" ");
  if (cluster === undefined) return `${scope.environment}/${scope.application} runs on no cluster`;
  const where = `${name} on ${cluster.cluster}`;
  if (cluster.state !== "Connected") return `${where} is Unknown: the cluster is ${cluster.state}`;
  if (entry?.kind !== "run" && (status?.status.objects ?? 0) === 0) return `${where} is not run`;
  const found = scope.object === undefined ? status?.status : undefined;
  const since = found === undefined || found.sinceMs === 0n ? "" : ` for ${age(nowMs - Number(found.sinceMs))}`;
  return `${where} is ${health}${since}`;
}

/** The other clusters of the environment, when all of it was asked about. */
function othersLine({ scope: { others, environment }, health }: Facts): WhyAnswer["lines"] {
  if (others === undefined || others.length === 0) return [];
  const ill = others.filter((other) => other.health !== "Current");
  const shown = ill.slice(0, 5).map((other) => `${other.cluster} ${other.health}`);
  const more = ill.length > shown.length ? ` and ${ill.length - shown.length} more` : "";
  const well = others.length - ill.length;
  if (ill.length === 0 && health === "Current")
    return [{ about: "clusters", text: `all ${others.length + 1} of ${environment} are Current; this is one of them` }];
  const worst = `this is the worst of ${others.length + 1}`;
  return [
    {
      about: "clusters",
      text: `${worst}; ${ill.length === 0 ? "" : `also ${shown.join(", ")}${more}; `}${well} of the others are Current`,
    },
  ];
}
