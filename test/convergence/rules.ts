import type { ObjectAddress } from "#agent/cluster/cluster.ts";
import { ApplicationPhase, Health, type ApplicationStatus } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { canonicalJson } from "#proto/json.ts";
import { refKey, refOf, type KubeObject } from "#proto/object.ts";
import { hookKeyOf, hookNames, phasesOf, runOf } from "./hooks.ts";
import type { Hub } from "./hub.ts";
import type { Observer } from "./mortal.ts";
import { applications, type ApplicationName } from "./policy.ts";
import { isOnce, names, pool, waveOf } from "./pool.ts";

/** What the rules look at while an agent works. */
export type Sight = {
  readonly hub: Hub;
  readonly agentNamespace: string;
  get(address: ObjectAddress): KubeObject | undefined;
  statusOf(application: ApplicationName): ApplicationStatus | undefined;
  /** Of the document that the agent goes by; undefined while it starts, and may go by any that it has stored. */
  generation(): number | undefined;
};

/** Holds each write of an agent against what the hub said, and remembers what no rule allows, in words. */
export type Rules = Observer & {
  readonly violations: readonly string[];
  /** Whether this hook was made for this run of its Application: "<digest>/<phase>". */
  hasRun(hookKey: string, run: string): boolean;
  told(status: ApplicationStatus): void;
};

/** Namespaces come before all waves. */
const isFirstOfAll = (name: string): boolean => pool[name]!(0).kind === "Namespace";

const keys = new Map(names.map((name) => [refKey(refOf(pool[name]!(0))), name]));
const hooks = new Map(
  applications.flatMap((owner) => hookNames.map((name) => [hookKeyOf(owner, name), { owner, name }])),
);

export function createRules(sight: Sight): Rules {
  const { hub } = sight;
  const violations: string[] = [];
  /** "<name> <content>" of everything that an agent has written. */
  const written = new Set<string>();
  /** "<application> <digest>" of what was told as applied and healthy, and of what began to be applied. */
  const there = new Set<string>();
  const begun = new Set<string>();
  /** uids of hooks' objects by "<key> <run>", with the turn in which they were made. */
  const made = new Map<string, { readonly turn: number; readonly uid: string }[]>();

  /** Whoever it is for waits for what it depends on, and each wave for those before it. */
  const beginning = (object: KubeObject, name: string): void => {
    const owner = applications.find((application) => hub.wanted(application).run?.objects.has(name));
    const { kind, run } = hub.wanted(owner ?? "a");
    if (owner === undefined || kind !== "run" || run === undefined || sight.generation() === undefined) return;
    if (textOf(object) !== textOf(run.objects.get(name)!) || written.has(`${name} ${textOf(object)}`)) return;
    for (const other of run.policy.dependsOn) noteThere(sight.statusOf(other));
    const late = run.policy.dependsOn.filter((other) => other !== owner && !wasThere(owner, other));
    if (!begun.has(`${owner} ${run.entry.digest}`) && late.length > 0)
      violations.push(`${owner} applies ${name} before ${late.join(" and ")} was there`);
    begun.add(`${owner} ${run.entry.digest}`);
    // What an exception lets be is not written in its desired form.
    if (!run.policy.waves || run.policy.excepted !== "never" || isFirstOfAll(name)) return;
    for (const [other, desired] of run.objects)
      if (
        waveOf(other) < waveOf(name) &&
        !isOnce(other) &&
        !isFirstOfAll(other) &&
        !written.has(`${other} ${textOf(desired)}`)
      )
        violations.push(`${owner} applies ${name} before ${other}, which is of an earlier wave`);
  };
  /** In some form that it was wanted in since `owner` was told what it is told now. */
  const wasThere = (owner: ApplicationName, other: ApplicationName): boolean =>
    hub.sinceTurn(owner).some((said) => {
      const { kind, run } = said.get(other) ?? {};
      return kind === "run" && run !== undefined && there.has(`${other} ${run.entry.digest}`);
    });
  const noteThere = (status: ApplicationStatus | undefined): void => {
    if (status?.phase !== ApplicationPhase.APPLIED || status.health !== Health.CURRENT) return;
    there.add(`${status.application} ${Buffer.from(status.digest).toString("hex")}`);
  };
  const madeHook = (object: KubeObject): void => {
    const key = refKey(refOf(object));
    const hook = hooks.get(key);
    const live = sight.get({ ...refOf(object), apiVersion: object.apiVersion });
    const run = live && runOf(live);
    if (hook === undefined || run === undefined) return;
    const uid = live?.metadata.uid ?? "";
    const before = made.get(`${key} ${run}`) ?? [];
    const { turn } = hub.wanted(hook.owner);
    if (before.some((other) => other.uid === uid)) return;
    if (before.some((other) => other.turn === turn)) violations.push(`the hook ${key} was run again for ${run}`);
    made.set(`${key} ${run}`, [...before, { turn, uid }]);
  };
  const runningHook = (key: string, object: KubeObject): void => {
    const { owner } = hooks.get(key)!;
    const isOfEnd = runOf(object)?.includes("/deleted/") === true;
    if (isOfEnd && (sight.statusOf(owner)?.objects ?? 0) > 0)
      violations.push(`the hook ${key} is run while something of ${owner} is still there`);
  };
  /** What needs it is gone before, and hooks for that were run. */
  const removing = (name: string, generation: number): void => {
    const said = hub.at(generation);
    const isRemoved = (application: ApplicationName): boolean => said.get(application)?.kind === "remove";
    const owner = applications.find((one) => isRemoved(one) && runsHere(one).some(({ objects }) => objects.has(name)));
    // One that runs may have taken it over and given it up since: then it is that one's to delete.
    const mayPrune = applications.some((one) => said.get(one)?.kind === "run" && hub.everOwned.get(one)!.has(name));
    if (owner === undefined || mayPrune) return;
    for (const other of applications)
      if (isRemoved(other) && (sight.statusOf(other)?.objects ?? 0) > 0 && needs(other, owner) && !needs(owner, other))
        violations.push(`deletes ${name} of ${owner} while ${other}, which needs it, is still there`);
    const { turn } = hub.wanted(owner);
    for (const hook of runsHere(owner)[0]!.policy.hooks) {
      const isLeaving = (phasesOf(hook) as readonly string[]).includes("delete");
      const runs = [...made].filter(([run]) => run.startsWith(hookKeyOf(owner, hook)) && run.includes("/delete/"));
      if (isLeaving && !runs.some(([, all]) => all.some((one) => one.turn === turn)))
        violations.push(`deletes ${name} of ${owner} before its hook ${hook} was run`);
    }
  };
  const runsHere = (application: ApplicationName) =>
    hub.runsOf(application, sight.statusOf(application)?.revision ?? "");
  /** Whatever the policy under which it runs here, itself or by another. */
  const needs = (from: ApplicationName, to: ApplicationName, passed: readonly ApplicationName[] = []): boolean =>
    applications
      .filter((next) => !passed.includes(next) && next !== from)
      .filter((next) => {
        const runs = runsHere(from);
        return runs.length > 0 && runs.every(({ policy }) => policy.dependsOn.includes(next));
      })
      .some((next) => next === to || needs(next, to, [...passed, from]));

  return {
    violations,
    applying(object) {
      const key = refKey(refOf(object));
      const name = keys.get(key);
      if (name !== undefined && !isOnce(name)) beginning(object, name);
      if (hooks.has(key)) runningHook(key, object);
    },
    applied(object, isDone) {
      const name = keys.get(refKey(refOf(object)));
      if (name !== undefined && isDone) written.add(`${name} ${textOf(object)}`);
      madeHook(object);
    },
    deleting(address) {
      const key = refKey(address);
      const name = keys.get(key);
      if (address.namespace === sight.agentNamespace || hooks.has(key)) return;
      if (name === undefined) return void violations.push(`deletes ${address.kind} ${address.name}, nobody's`);
      const generation = sight.generation();
      if (!hub.mayDelete(name, generation))
        violations.push(`deletes ${name}, which generation ${generation ?? "of any document"} does not allow`);
      else if (generation !== undefined) removing(name, generation);
    },
    hasRun: (hookKey, run) => made.has(`${hookKey} ${run}`),
    told(status) {
      noteThere(status);
      const { phase } = status;
      const name = status.application as ApplicationName;
      const { kind, mode } = hub.wanted(name);
      if (phase !== ApplicationPhase.REMOVED || kind !== "remove" || mode !== "delete") return;
      for (const run of made.keys()) if (hooks.get(run.split(" ")[0]!)?.owner === name) made.delete(run);
    },
  };
}

/** What a revision says of it, without what the agent adds. */
function textOf({ metadata, ...object }: KubeObject): string {
  const { "plumbline.dev/agent": _, ...labels } = metadata.labels ?? {};
  return canonicalJson({ ...object, labels, annotations: metadata.annotations ?? {} });
}
