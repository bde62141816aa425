import type { KubeObject } from "#proto/object.ts";
import { asList, conditionsOf, count, explain, text, type Health } from "./condition.ts";
import { podHealth } from "./pods.ts";
import { shown } from "#lib/shown.ts";

/** Reasons that say of themselves that something failed, and not what. */
const empty = new Set(["BackOff", "FailedToStart"]);
/** Health of a Pod that leaves the asking to its events. */
const vague = /^(?:is starting|is not ready)/;

export type Sick = { readonly pod: KubeObject; readonly health: Health };

const ownedBy = (uid: string) => (object: KubeObject) =>
  asList(object.metadata["ownerReferences"] as never).some((owner) => owner["uid"] === uid);

/** The ReplicaSet that a Deployment rolls out now; those before it are on their way out. */
export function newestReplicaSet(sets: readonly KubeObject[], uid: string): KubeObject | undefined {
  const revision = ({ metadata }: KubeObject): number =>
    Number(metadata.annotations?.["deployment.kubernetes.io/revision"] ?? 0);
  return sets.filter(ownedBy(uid)).sort((a, b) => revision(b) - revision(a))[0];
}

/** The Pod of this owner that is worst off; undefined when none is unwell. */
export function worstPod(pods: readonly KubeObject[], uid: string, nowMs: number): Sick | undefined {
  const living = pods.filter((pod) => ownedBy(uid)(pod) && pod.metadata.deletionTimestamp === undefined);
  const sick = living
    .map((pod) => ({ pod, health: podHealth(pod, nowMs) }))
    .filter(({ health }) => health.state !== "Current");
  return sick.sort((a, b) => weight(b.health) - weight(a.health))[0];
}

const weight = ({ state, reason }: Health): number =>
  (state === "Failed" ? 4 : state === "Unknown" ? 2 : 0) + (vague.test(reason) ? 0 : 1);

/** "pod web-6d4c: container web: ImagePullBackOff: ...", with what its events add. */
export function causeOfPod({ pod, health }: Sick, events: readonly KubeObject[]): string {
  const said = shown(health.reason);
  const warning = lastWarning(events);
  // The scheduler's event repeats the Pod's own condition under another name.
  const adds = warning !== "" && !said.includes(warning.slice(warning.indexOf(": ") + 1).trim());
  return [`pod ${pod.metadata.name}: ${said}`, ...(adds ? [warning] : [])].join(": ");
}

/** What keeps a ReplicaSet from making Pods: its own condition, or its events. */
export function causeOfNoPods(set: KubeObject | undefined, events: readonly KubeObject[]): string {
  const failure = set && conditionsOf(set).get("ReplicaFailure");
  if (failure?.status === "True") return shown(explain(failure));
  return lastWarning(events);
}

/** The newest Warning that says something, as "FailedScheduling: 0/3 nodes are available"; empty when there is none. */
export const lastWarning = (events: readonly KubeObject[]): string =>
  lastSaid(events.filter((event) => text(event["type"] as never) === "Warning"));

/** The newest event of any type that says something. A claim that waits for its first Pod says so in a normal one. */
export function lastSaid(events: readonly KubeObject[]): string {
  const newestFirst = events.toSorted((a, b) => atMs(b) - atMs(a));
  const [found] = [...newestFirst.filter(isTelling), ...newestFirst];
  if (found === undefined) return "";
  return shown([text(found["reason"] as never), text(found["message"] as never)].filter(Boolean).join(": "));
}

const isTelling = (event: KubeObject): boolean =>
  !empty.has(text(event["reason"] as never)) && !/^Error: \w+$/.test(text(event["message"] as never));

/** Old recorders write lastTimestamp, new ones a series or only when it began. */
function atMs(event: KubeObject): number {
  const series = event["series"] as { lastObservedTime?: string } | undefined;
  const times = [
    series?.lastObservedTime,
    event["lastTimestamp"],
    event["eventTime"],
    event.metadata.creationTimestamp,
  ];
  const [found] = times.filter((time): time is string => typeof time === "string" && time !== "");
  return found === undefined ? count(undefined) : Date.parse(found);
}
