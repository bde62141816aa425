import { ApplicationPhase, Health, type ApplicationStatus } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { refKey, refOf, type KubeObject } from "#proto/object.ts";
import { hookKeyOf, hookNames, hookOf, phasesOf, runOf } from "./hooks.ts";
import type { Hub, Run } from "./hub.ts";
import { applications, type ApplicationName } from "./policy.ts";
import { isOnce, isSick, objectOf, strangeLabel } from "./pool.ts";
import type { Rules } from "./rules.ts";

/** What is looked at when everything has come to rest. */
export type Rest = {
  readonly hub: Hub;
  readonly rules: Rules;
  readonly live: (object: KubeObject) => KubeObject | undefined;
  /** What the server's answer to an apply of it would be. */
  readonly wouldBe: (object: KubeObject) => Promise<KubeObject>;
  readonly statusOf: (application: ApplicationName) => ApplicationStatus | undefined;
};

/** What differs from desired = running, in words; empty when nothing does. */
export async function differences(rest: Rest): Promise<string[]> {
  const { hub } = rest;
  const found: string[] = [];
  for (const name of applications) {
    const { kind, run } = hub.wanted(name);
    if (kind === "remove") found.push(...removed(rest, name));
    if (kind === "run") found.push(...(await running(rest, name, run!)));
  }
  for (const object of hub.unwanted((name) => isSettled(rest, name)))
    if (rest.live(objectOf(object, 0, false)) !== undefined)
      found.push(`${object} is still there, and nobody wants it`);
  return found;
}

/** Has done all that is wanted of it, and waits for nothing. */
function isSettled({ hub, statusOf }: Rest, name: ApplicationName): boolean {
  const { kind, run } = hub.wanted(name);
  const { phase, digest } = statusOf(name) ?? {};
  if (kind === "remove") return phase === undefined || phase === ApplicationPhase.REMOVED;
  return kind === "run" && phase === ApplicationPhase.APPLIED && hex(digest) === run!.entry.digest;
}

const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString("hex");
const told = (status: ApplicationStatus | undefined): string =>
  JSON.stringify(status, (_key, value: unknown) => (typeof value === "bigint" ? String(value) : value));

function removed(rest: Rest, name: ApplicationName): string[] {
  const status = rest.statusOf(name);
  if (isSettled(rest, name)) {
    const owns = (status?.objects ?? 0) > 0 ? [`${name}: removed, and owns still`] : [];
    return [
      ...owns,
      ...hooksLeft(rest, name, []).map((hook) => `${name}: removed, and its hook ${hook} is still there`),
    ];
  }
  const waits = /^waits until (.*?)(, which needs it, is removed| has taken over what moves there)$/.exec(
    status?.reason ?? "",
  );
  const others = (waits?.[1]?.split(" and ") ?? []) as ApplicationName[];
  if (others.length > 0 && others.every((other) => !isSettled(rest, other))) return [];
  // What it owned was lost, and is not guessed.
  if (status?.phase === ApplicationPhase.BLOCKED && rest.hub.everOrphaned.has(name)) return [];
  return [`${name}: is to be removed, says ${told(status)}`];
}

async function running(rest: Rest, name: ApplicationName, run: Run): Promise<string[]> {
  const status = rest.statusOf(name);
  const late = lateOf(rest, name, run);
  const says = `says ${told(status)}`;
  if (status === undefined) return [`${name}: nothing is said of it`];
  if (status.phase === ApplicationPhase.HELD)
    return late.length > 0 && late.every((other) => status.reason.includes(`for ${other}, which `))
      ? []
      : [`${name}: is held, waits for ${late.join(" and ")}, ${says}`];
  if (run.policy.hooks.includes("broken")) return brokenHook(rest, name, run, status);
  const ill = status.health !== Health.CURRENT;
  if (status.phase === ApplicationPhase.FAILED && run.policy.hooks.includes("after") && ill)
    return status.reason.includes("its post hooks wait for health") ? [] : [`${name}: its hooks wait, ${says}`];
  if (!isSettled(rest, name)) return [`${name}: is not applied, ${says}`];
  const size = run.objects.size;
  const isWell = [...run.objects].every(([object, desired]) => !isSick(object) && rest.live(desired) !== undefined);
  return [
    ...(status.objects >= size && status.objects <= size + leaving(rest, name)
      ? []
      : [`${name}: wants ${size}, ${says}`]),
    ...(isWell && ill ? [`${name}: is well, ${says}`] : []),
    ...hooksMissing(rest, name, run),
    ...hooksLeft(rest, name, run.policy.hooks).map((hook) => `${name}: its hook ${hook} is no more, and still there`),
    ...(await differing(rest, name, run, status)),
  ];
}

/** How many objects of it another wants, and has not taken over yet. */
function leaving(rest: Rest, name: ApplicationName): number {
  const { hub } = rest;
  const others = applications.filter((other) => hub.wanted(other).kind === "run" && !isSettled(rest, other));
  const wanted = others.flatMap((other) => [...hub.wanted(other).run!.objects.keys()]);
  return wanted.filter((object) => hub.everOwned.get(name)!.has(object)).length;
}

/** What it depends on, and is not there. */
const lateOf = ({ hub, statusOf, ...rest }: Rest, name: ApplicationName, { policy }: Run): ApplicationName[] =>
  policy.dependsOn.filter(
    (other) =>
      other !== name &&
      !(
        hub.wanted(other).kind === "run" &&
        isSettled({ hub, statusOf, ...rest }, other) &&
        statusOf(other)?.health === Health.CURRENT
      ),
  );

function brokenHook({ rules, live }: Rest, name: ApplicationName, run: Run, status: ApplicationStatus): string[] {
  const { digest } = run.entry;
  if (status.phase !== ApplicationPhase.FAILED || !status.reason.includes(`${name}-broken failed`))
    return [`${name}: its hook fails, says ${told(status)}`];
  if (!run.policy.hooks.includes("failure")) return [];
  const failure = live(hookOf(name, "failure", 0));
  const hasRun = rules.hasRun(hookKeyOf(name, "failure"), `${digest}/fail`);
  return hasRun || (failure && runOf(failure)) === `${digest}/fail`
    ? []
    : [`${name}: nothing was done about its failure`];
}

/** Hooks that were never run for what is applied. */
function hooksMissing({ rules, live }: Rest, name: ApplicationName, { policy, entry }: Run): string[] {
  return policy.hooks.flatMap((hook) =>
    phasesOf(hook)
      .filter((phase) => ["pre", "sync", "post"].includes(phase))
      .filter((phase) => {
        const mark = `${entry.digest}/${phase}`;
        const there = live(hookOf(name, hook, 0));
        return !rules.hasRun(hookKeyOf(name, hook), mark) && (there && runOf(there)) !== mark;
      })
      .map((phase) => `${name}: its ${phase} hook ${hook} was never run`),
  );
}

function hooksLeft({ hub, live }: Rest, name: ApplicationName, wanted: readonly string[]): string[] {
  if (hub.everOrphaned.has(name)) return [];
  return hookNames.filter((hook) => !wanted.includes(hook) && live(hookOf(name, hook, 0)) !== undefined);
}

/** What is told as drift is what differs, and it may differ only where the policy lets it. */
async function differing(rest: Rest, name: ApplicationName, run: Run, status: ApplicationStatus): Promise<string[]> {
  const { policy } = run;
  const found: string[] = [];
  for (const [object, desired] of run.objects) {
    const { live, differs, isStrange } = await compare(rest, desired);
    const ref = refKey(refOf(desired));
    const isTold = status.exceptional.some((one) => one.drifted && refKey(one.object!) === ref);
    if (live === undefined && (!isOnce(object) || policy.drift === "correct") && !isTold)
      found.push(`${object} is missing`);
    if (isOnce(object) || live === undefined) continue;
    if (differs !== "" && !isTold) found.push(`${object} of ${name} differs: ${differs}`);
    if (differs === "" && isTold) found.push(`${object} of ${name} is told as drifted, and is not`);
    if (isTold && policy.drift === "correct" && policy.excepted !== "always")
      found.push(`${object} is told, and not healed`);
    if (isStrange && policy.strict && policy.drift === "correct") found.push(`${object} has what a strict one has not`);
  }
  return found;
}

async function compare({ hub, live, wouldBe }: Rest, desired: KubeObject) {
  const there = live(desired);
  if (there === undefined) return { live: there, differs: "", isStrange: false };
  const labels = { ...desired.metadata.labels, "plumbline.dev/agent": hub.documents.cluster };
  // The server itself says whether the desired form would change anything.
  const answer = await wouldBe({ ...desired, metadata: { ...desired.metadata, labels } });
  const [is, shall] = [contentOf(there), contentOf(answer)];
  const isStrange = there.metadata.labels?.[strangeLabel] !== undefined;
  return { live: there, differs: is === shall ? "" : `${is} is not ${shall}`, isStrange };
}

function contentOf(object: KubeObject): string {
  const { metadata, ...rest } = structuredClone(object) as unknown as Record<string, Record<string, unknown>>;
  delete rest["status"];
  return JSON.stringify({ ...rest, labels: metadata!["labels"], annotations: metadata!["annotations"] });
}
