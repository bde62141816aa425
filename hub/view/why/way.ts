import { age } from "#lib/age.ts";
import { counted } from "#lib/counted.ts";
import type { WhyLine } from "#proto/api.ts";
import { ApplicationPhase } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { describeRef } from "#proto/object.ts";
import { short, type Facts, type ToldCommit } from "./facts.ts";

const shownLines = 5;

/** From the commit to the cluster: what was asked for, by whom, what it waits for, and what of it arrived. */
export function wayOf(facts: Facts): WhyLine[] {
  return [
    ...commitLine(facts),
    ...promotionLine(facts),
    ...gateLines(facts),
    ...agentLine(facts),
    ...documentLine(facts),
    ...refusalLine(facts),
    ...appliedLine(facts),
    ...problemLines(facts),
    ...pruneLine(facts),
    ...noteLine(facts),
  ];
}

const line = (about: string, text: string): WhyLine[] => [{ about, text }];

function commitLine({ source, asked, entry, nowMs }: Facts): WhyLine[] {
  const wanted = asked !== "" ? asked : entry?.kind === "run" ? entry.revision : "";
  if (wanted === "") return [];
  if (source === undefined)
    return line("commit", `${short(wanted)}, which is in no repository that this hub follows now`);
  const { commit, subject, author, atMs } = source;
  return line("commit", `${short(commit)} "${subject}" by ${person(author)}, ${age(nowMs - atMs)} ago`);
}

function promotionLine({ follows, asked, promotion, scope, nowMs }: Facts): WhyLine[] {
  if (follows !== "") return line("promotion", `none is needed: ${scope.environment} follows ${follows}`);
  if (asked === "" || promotion === undefined) return [];
  const { commit, atMs, reason } = promotion;
  const why = reason === "" ? "" : `: ${reason}`;
  return line(
    "promotion",
    `${short(commit)} asked for ${short(asked)} by ${asker(promotion)}, ${age(nowMs - atMs)} ago${why}`,
  );
}

/** Trailers are the hub's word in its own commits alone. */
const asker = ({ actor, author }: ToldCommit): string => (actor === "" ? `${person(author)}, by hand` : actor);
const person = (author: string): string => author.replace(/ <.*/, "");

function gateLines({ waiting, promotedFrom, isQualified, entry, asked }: Facts): WhyLine[] {
  const said = [...new Set(waiting.map(({ because }) => because))];
  if (said.length > 0) return said.slice(0, shownLines).map((text) => ({ about: "gate", text }));
  const isThrough = entry?.kind === "run" && (asked === "" || asked === entry.revision);
  if (!isThrough || promotedFrom.length === 0 || !isQualified) return [];
  return line("gate", `open: ${promotedFrom.join(" and ")} proved it by healthy receipts`);
}

function agentLine({ cluster, revokedBecause, nowMs, status }: Facts): WhyLine[] {
  if (cluster === undefined) return [];
  const heard = cluster.heardAgoMs === null ? "" : `, last heard ${age(cluster.heardAgoMs)} ago`;
  switch (cluster.state) {
    case "Connected":
      return [];
    case "Revoked":
      return line("agent", `its keys were revoked${heard}: ${revokedBecause}`);
    case "Declared":
      return line("agent", "it is declared, and no agent has joined");
    case "Undeclared":
      return line("agent", `no Cluster document declares it any more${heard}`);
    case "Silent": {
      const said = status === undefined ? "" : `; what follows is what it said ${age(nowMs - status.atMs)} ago`;
      return line("agent", heard === "" ? `not heard since this hub started${said}` : `silent${heard}${said}`);
    }
  }
}

function documentLine({ cluster, document, entry, scope, unselected, nowMs }: Facts): WhyLine[] {
  if (cluster === undefined) return [];
  if (document === undefined) return line("document", "none was published to this cluster yet");
  const of = `document of ${age(nowMs - document.issuedAtMs)} ago`;
  switch (entry?.kind) {
    case "run":
      return line("digest", `${entry.digest.slice(0, 12)}, ${counted(entry.objects, "object")}, in the ${of}`);
    case "hold":
      return line("hold", `the ${of} says hold: ${entry.because}`);
    case "remove":
      return line(
        "removal",
        `the ${of} says ${entry.mode === "delete" ? "delete its objects" : "let its objects go"}, as ${short(entry.commit)} asked`,
      );
    case undefined:
      return line(
        "document",
        `the ${of} does not name ${scope.application}${unselected === "" ? "" : `: ${unselected}`}`,
      );
  }
}

function refusalLine({ refusal, nowMs }: Facts): WhyLine[] {
  if (refusal === undefined) return [];
  const { reason, detail } = refusal.refusal;
  return line(
    "refused",
    `by the agent ${age(nowMs - refusal.atMs)} ago: ${reason}: ${detail}; it keeps its last good document`,
  );
}

function appliedLine({ status, entry, changed, nowMs, cluster }: Facts): WhyLine[] {
  if (entry?.kind !== "run" || cluster === undefined) return [];
  if (status === undefined) return line("applied", "nothing is reported of it yet");
  const { digest, revision, appliedAtMs, objects, current } = status.status;
  const isHere = Buffer.from(digest).toString("hex") === entry.digest;
  if (!isHere) {
    const now = revision === "" || revision === entry.revision ? "" : `; until then ${short(revision)} runs`;
    if (objects === 0) return line("applied", `not yet: nothing of it is here${now}`);
    return line("applied", `not yet: ${current} of ${counted(objects, "object")} are Current${now}`);
  }
  const atMs = Number(appliedAtMs) || changed?.atMs || 0;
  const what = changed === undefined ? "" : ` (${counted(changed.objects, "object")} changed)`;
  return line("applied", `${atMs === 0 ? "before the agent started" : `${age(nowMs - atMs)} ago`}${what}`);
}

function problemLines({ status, nowMs }: Facts): WhyLine[] {
  const problems = status?.status.problems ?? [];
  return problems.slice(0, shownLines).map(({ object, message, final, nextTryAtMs }) => {
    const when = final
      ? "it is not tried again before the revision or the object changes"
      : `it is tried again ${soon(Number(nextTryAtMs), nowMs)}`;
    return { about: "apply", text: `${object === undefined ? "?" : describeRef(object)}: ${message}; ${when}` };
  });
}

const pruneLine = ({ status }: Facts): WhyLine[] =>
  status === undefined || status.status.prunePlan === ""
    ? []
    : line("prune", `blocked, plan ${status.status.prunePlan}: ${status.status.reason}`);

/** What the agent says of an apply that is done. Health says its own reason by itself. */
function noteLine({ status }: Facts): WhyLine[] {
  if (status === undefined) return [];
  const { phase, reason, prunePlan, exceptional } = status.status;
  const isHealth = exceptional.some((each) => each.reason === reason);
  return phase !== ApplicationPhase.APPLIED || reason === "" || prunePlan !== "" || isHealth
    ? []
    : line("note", reason);
}

export const soon = (atMs: number, nowMs: number): string => (atMs > nowMs ? `in ${age(atMs - nowMs)}` : "at once");
