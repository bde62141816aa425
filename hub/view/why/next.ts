import type { SeenDrift } from "#hub/view/view.ts";
import { ApplicationPhase, DriftState } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { parseRefKey, refKey, type ObjectRef } from "#proto/object.ts";
import { age } from "#lib/age.ts";
import { short, type Facts, type Next } from "./facts.ts";
import { isOpen } from "./gather.ts";
import { illOf } from "./state.ts";
import { soon } from "./way.ts";

type Situation = (facts: Facts) => Next | undefined;

/** What happens next: the first of these that is so. What keeps everything else from happening comes first. */
const situations: readonly Situation[] = [
  nobodyThere,
  revoked,
  notJoined,
  silent,
  refusedDocument,
  removal,
  unselected,
  waiting,
  held,
  applyProblem,
  blockedPrune,
  blocked,
  failed,
  waitingHere,
  applying,
  letBe,
  unwell,
  drifting,
  later,
];

export function nextOf(facts: Facts): Next {
  for (const situation of situations) {
    const found = situation(facts);
    if (found !== undefined) return found;
  }
  return { next: "nothing is waited for", commands: [] };
}

function nobodyThere({ cluster, scope }: Facts): Next | undefined {
  if (cluster !== undefined) return undefined;
  return {
    next: `no cluster that has joined is selected by ${scope.environment}`,
    commands: ["plumb cluster list"],
  };
}

function revoked({ cluster }: Facts): Next | undefined {
  if (cluster?.state !== "Revoked") return undefined;
  return {
    next: "nothing is published to it any more; its agent goes on healing what it runs, and prunes nothing",
    commands: ["plumb cluster register NEW-NAME"],
  };
}

function notJoined({ cluster }: Facts): Next | undefined {
  if (cluster?.state !== "Declared") return undefined;
  return {
    next: "it is given its first document when it joins",
    commands: [`plumb cluster register ${cluster.cluster}`],
  };
}

function silent({ cluster }: Facts): Next | undefined {
  if (cluster?.state !== "Silent") return undefined;
  return {
    next: "it keeps itself true to its last document alone; what happens there is told when its agent is back",
    commands: [`plumb cluster show ${cluster.cluster}`, "kubectl -n plumbline-agent logs deployment/plumbline-agent"],
  };
}

function refusedDocument({ refusal }: Facts): Next | undefined {
  if (refusal === undefined) return undefined;
  return { next: "the agent takes the next document that it can verify", commands: ["plumb history"] };
}

function removal({ entry, status, scope }: Facts): Next | undefined {
  if (entry?.kind !== "remove") return undefined;
  const isDone = status === undefined || status.status.phase === ApplicationPhase.REMOVED;
  const what = entry.mode === "delete" ? "deleted" : "let go";
  return isDone
    ? {
        next: `its objects are ${what}; delete the Removal in Git to run ${scope.application} here again`,
        commands: [],
      }
    : {
        next: `${isStopped(status.status) ? "" : `its objects are being ${what}: `}${status.status.reason}`,
        commands: [],
      };
}

const isStopped = ({ phase }: { phase: ApplicationPhase }): boolean =>
  phase === ApplicationPhase.FAILED || phase === ApplicationPhase.BLOCKED;

function unselected({ unselected, scope, entry, cluster }: Facts): Next | undefined {
  if (unselected === "") return undefined;
  if (entry === undefined)
    return { next: `nothing: ${unselected}`, commands: [`plumb cluster show ${cluster?.cluster ?? ""}`] };
  return {
    next: `it keeps what it runs until a Removal, or until it is selected again (${unselected})`,
    commands: [`plumb remove ${scope.application} --cluster ${scope.cluster ?? ""}`],
  };
}

function waiting({ waiting, promotedFrom, asked, scope, entry }: Facts): Next | undefined {
  if (waiting.length === 0) return undefined;
  const keeps = entry?.kind === "run" ? `until then ${short(entry.revision)} stays` : "until then nothing is started";
  if (asked === "" && promotedFrom.length > 0)
    return {
      next: `nothing moves before somebody promotes; ${keeps}`,
      commands: [`plumb promote ${scope.environment} ${scope.application}`],
    };
  return {
    next: `it goes on by itself when this is no longer so; ${keeps}`,
    commands: promotedFrom.map((name) => `plumb why ${name}/${scope.application}`),
  };
}

function held({ entry, scope, document }: Facts): Next | undefined {
  if (entry?.kind !== "hold" && !(document !== undefined && entry === undefined)) return undefined;
  return {
    next: "what it runs is kept and healed; nothing new is applied, nothing is deleted",
    commands: ["plumb validate", `plumb why ${scope.environment}/${scope.application}`],
  };
}

function applyProblem(facts: Facts): Next | undefined {
  const problems = facts.status?.status.problems ?? [];
  const [first] = problems;
  if (first === undefined) return undefined;
  const passing = problems.find(({ final }) => !final);
  if (passing === undefined) {
    const next = "nothing is tried before the revision or the object changes";
    if (first.reason !== "Forbidden") return { next, commands: [...wayBack(facts)] };
    // No watch tells that somebody was given a right.
    const restart = "kubectl -n plumbline-agent rollout restart deployment/plumbline-agent";
    return {
      next: `${next}; where rights were missing, once its agent starts anew`,
      commands: [restart, ...wayBack(facts)],
    };
  }
  return { next: `tried again ${soon(Number(passing.nextTryAtMs), facts.nowMs)}`, commands: look(passing.object) };
}

function blockedPrune({ status, scope, entry, follows }: Facts): Next | undefined {
  const plan = status?.status.prunePlan ?? "";
  if (plan === "" || entry?.kind !== "run") return undefined;
  const next = "nothing is deleted before a Promotion allows exactly this plan";
  const { environment, application } = scope;
  if (follows !== "") return { next: `${next}: allowPrune: ${plan} for ${short(entry.revision)}`, commands: [] };
  return {
    next,
    commands: [`plumb promote ${environment} ${application} ${short(entry.revision)} --allow-prune ${plan}`],
  };
}

function blocked({ status }: Facts): Next | undefined {
  if (status?.status.phase !== ApplicationPhase.BLOCKED) return undefined;
  return { next: `nothing is applied until this is mended${said(status.status.reason)}`, commands: [] };
}

/** Stopped as a whole: by what passes, which is tried by the clock, or by what a person has to see to. */
function failed({ status, entry, nowMs }: Facts): Next | undefined {
  if (entry?.kind !== "run" || status?.status.phase !== ApplicationPhase.FAILED) return undefined;
  const { nextTryAtMs, reason } = status.status;
  const next =
    nextTryAtMs > 0n
      ? `the agent tries again ${soon(Number(nextTryAtMs), nowMs)}`
      : "nothing is tried before the revision changes, or what failed does";
  return { next: `${next}${said(reason)}`, commands: [] };
}

/** The document says run, and the agent has a reason of its own to wait. */
function waitingHere({ status, entry, scope }: Facts): Next | undefined {
  if (entry?.kind !== "run" || status?.status.phase !== ApplicationPhase.HELD) return undefined;
  return {
    next: `${short(entry.revision)} is applied when this is no longer so${said(status.status.reason)}; what runs is kept and healed`,
    commands: entry.delivery.dependsOn.map((name) => `plumb why ${scope.cluster ?? ""} ${name}`),
  };
}

function applying({ status, entry, nowMs, document }: Facts): Next | undefined {
  if (entry?.kind !== "run") return undefined;
  const isHere = status !== undefined && Buffer.from(status.status.digest).toString("hex") === entry.digest;
  if (isHere) return undefined;
  const since = document === undefined ? "" : `, published ${age(nowMs - document.issuedAtMs)} ago`;
  const reason = status?.status.reason ?? "";
  const does = status?.status.phase === ApplicationPhase.APPLYING ? "applies" : "fetches and applies";
  return { next: `the agent ${does} ${short(entry.revision)}${since}${said(reason)}`, commands: [] };
}

/** What is not well because it is not what was applied, and is not to be healed. */
function letBe(facts: Facts): Next | undefined {
  const { entry, drift } = facts;
  if (entry?.kind !== "run" || (entry.delivery.drift === "correct" && entry.delivery.healingFrozen === null))
    return undefined;
  const [worst] = illOf(facts);
  const isIts = (each: SeenDrift): boolean =>
    isOpen(each.drift.state) && each.drift.object !== undefined && refKey(each.drift.object) === refKey(worst!.object!);
  return worst?.object !== undefined && drift.some(isIts) ? drifting(facts) : undefined;
}

function unwell(facts: Facts): Next | undefined {
  const { health, status, scope } = facts;
  if (health === "Current" || status === undefined) return undefined;
  const ill = scope.object ?? illOf(facts).find(({ object }) => object !== undefined)?.object;
  const next =
    health === "Failed"
      ? "the agent goes on watching; environments that are promoted from here do not get this revision before it is well"
      : health === "Terminating"
        ? "it is made again once it is gone"
        : "the agent goes on watching; it is told when this is well, or has failed";
  return { next, commands: [...look(ill), ...wayBack(facts)] };
}

function drifting({ drift, entry, nowMs, scope }: Facts): Next | undefined {
  const open = drift.find((each) => isOpen(each.drift.state));
  if (open === undefined) return undefined;
  const commands = ["plumb drift", ...look(open.drift.object)];
  if (open.drift.state === DriftState.CONTESTED) return { next: contested(open, nowMs), commands };
  const delivery = entry?.kind === "run" ? entry.delivery : undefined;
  if (delivery?.drift === "report")
    return { next: `nothing is healed: ${scope.application} only reports drift (delivery.drift)`, commands };
  if (delivery?.healingFrozen)
    return { next: `healing is frozen${until(delivery.healingFrozen.untilMs, nowMs)}`, commands };
  const { reason, nextHealAtMs } = open.drift;
  if (nextHealAtMs > 0n)
    return { next: `its heal is tried ${soon(Number(nextHealAtMs), nowMs)} (${reason})`, commands };
  if (reason !== "") return { next: `it is not healed before Git or the object changes (${reason})`, commands };
  return { next: "it is healed as soon as it can be", commands };
}

function contested({ drift: { nextHealAtMs } }: SeenDrift, nowMs: number): string {
  if (nextHealAtMs === 0n)
    return "it is not healed before the object is another or the agent starts again: the API server's admission gives another value; change that, or Git, or commit a DriftException";
  return `healed again ${soon(Number(nextHealAtMs), nowMs)}; stop the other tool, or commit a DriftException`;
}

/** All is well but for what waits for its time. */
function later({ status, nowMs }: Facts): Next | undefined {
  const at = Number(status?.status.nextTryAtMs ?? 0n);
  return at === 0 ? undefined : { next: `the agent goes on ${soon(at, nowMs)}`, commands: [] };
}

const until = (ms: number | null, nowMs: number): string =>
  ms === null ? " without an end" : `; it ends ${soon(ms, nowMs)}`;

/** The revision before: the fast way out of a bad one. */
function* wayBack({ follows, before, scope, entry }: Facts): Generator<string> {
  if (follows !== "" && entry?.kind === "run") yield `git revert ${short(entry.revision)}`;
  else if (before !== "") yield `plumb promote ${scope.environment} ${scope.application} ${short(before)}`;
}

function look(ref: ObjectRef | undefined): string[] {
  if (ref === undefined) return [];
  const { kind, group, namespace, name } = parseRefKey(refKey(ref));
  const resource = group === "" ? kind.toLowerCase() : `${kind.toLowerCase()}.${group}`;
  return [`kubectl${namespace === "" ? "" : ` -n ${namespace}`} describe ${resource} ${name}`];
}

const said = (reason: string): string => (reason === "" ? "" : `: ${reason}`);
