import { describeFollow, followOf, selects } from "#hub/decide/inputs.ts";
import { healthOn, queryCluster } from "#hub/view/query.ts";
import { healthWord } from "#hub/view/words.ts";
import type { HealthWord } from "#proto/api.ts";
import type { Entry } from "#proto/desired-state.ts";
import { DriftState } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { refKey, type ObjectRef } from "#proto/object.ts";
import type { Facts, Scope, Told, WhyKnown } from "./facts.ts";

/** An episode that ended is told of for this long. */
const recentMs = 3_600_000;

/** Collects what is known about a scope; Git is asked twice at the most. */
export async function gather(known: WhyKnown, scope: Scope, told: Told): Promise<Facts> {
  const { application, environment, cluster } = scope;
  const declared = known.fleet.environments.get(environment)!;
  const { revisions } = declared;
  const promotion = known.fleet.promotions.get(`${environment}/${application}`);
  const asked = "follow" in revisions ? "" : (promotion?.revision ?? "");
  const document = cluster === undefined ? undefined : known.document(cluster);
  const entry = document?.entries.find((each) => each.application === application);
  const wanted = asked !== "" ? asked : entry?.kind === "run" ? entry.revision : "";
  const record = (name: string) =>
    known.rollouts.find((each) => each.environment === name && each.application === application);
  const from = "follow" in revisions ? [] : revisions.promotedFrom;
  const [source, file] = await Promise.all([
    wanted === "" ? undefined : told.source(application, wanted),
    asked === "" || promotion === undefined ? undefined : told.file(promotion.file),
  ]);
  return {
    nowMs: known.nowMs,
    scope,
    ...clusterFacts(known, scope),
    follows:
      "follow" in revisions
        ? describeFollow(followOf(known.fleet.applications.get(application), revisions.follow))
        : "",
    promotedFrom: from,
    isQualified: wanted !== "" && from.every((name) => record(name)?.qualified.includes(wanted) === true),
    before: record(environment)?.completed.findLast((revision) => revision !== wanted) ?? "",
    asked,
    source,
    promotion: file,
    waiting: known.waiting.filter(
      (each) =>
        each.application === application &&
        each.environment === environment &&
        (each.cluster === undefined || cluster === undefined || each.cluster === cluster),
    ),
    document,
    entry,
    changed: changedBy(known, scope, entry),
    drift: driftOf(known, scope),
    refusal: refusalOf(known, scope),
  };
}

function clusterFacts(known: WhyKnown, { application, environment, cluster, object }: Scope) {
  if (cluster === undefined)
    return { cluster: undefined, revokedBecause: "", unselected: "", status: undefined, health: "Unknown" as const };
  const seen = known.view.clusters.get(cluster)?.applications.get(application);
  // What an earlier environment of the same name left there says nothing of this one.
  const status = seen?.status.environment === environment ? seen : undefined;
  const whole = healthOn(known, cluster, environment, application);
  return {
    cluster: queryCluster(known, cluster),
    revokedBecause: known.records.get(cluster)?.revoked?.because ?? "",
    unselected: unselectedBecause(known, { environment, cluster }),
    status,
    health: object === undefined || whole === "Unknown" ? whole : healthOfObject(status, object),
  };
}

/** Only what is not Current is reported. */
function healthOfObject(seen: Facts["status"], object: ObjectRef): HealthWord {
  const { exceptional = [], problems = [], truncated = false } = seen?.status ?? {};
  const isThis = (each: { object: ObjectRef | undefined }): boolean =>
    each.object !== undefined && refKey(each.object) === refKey(object);
  if (problems.some((each) => isThis(each) && each.final)) return "Failed";
  const found = exceptional.find(isThis);
  return found === undefined ? (truncated ? "Unknown" : "Current") : healthWord(found.health);
}

function unselectedBecause(
  { fleet }: WhyKnown,
  { environment, cluster }: Pick<Scope, "environment" | "cluster">,
): string {
  const declared = fleet.clusters.get(cluster!);
  const selector = fleet.environments.get(environment)!.clusters;
  const shown = (labels: Readonly<Record<string, string>>): string =>
    Object.entries(labels)
      .map(([name, value]) => `${name}=${value}`)
      .join(",") || "none";
  if (declared === undefined) return `no Cluster document declares ${cluster}`;
  if (selects(selector, declared.labels)) return "";
  return `${environment} selects ${shown(selector.matchLabels)}, and ${cluster} has the labels ${shown(declared.labels)}`;
}

function changedBy(known: WhyKnown, { application, cluster }: Scope, entry: Entry | undefined): Facts["changed"] {
  if (entry?.kind !== "run") return undefined;
  const found = known.view.happenings().findLast(({ cluster: at, event: { application: of, body } }) => {
    if (at !== cluster || of !== application || body?.$case !== "receipt") return false;
    return Buffer.from(body.value.digest).toString("hex") === entry.digest;
  });
  if (found?.event.body?.$case !== "receipt") return undefined;
  const { created, configured } = found.event.body.value;
  return { objects: created + configured, atMs: Number(found.event.atMs) };
}

function driftOf(known: WhyKnown, { application, cluster, object }: Scope): Facts["drift"] {
  const isAsked = (ref: ObjectRef | undefined): boolean =>
    object === undefined || (ref !== undefined && refKey(ref) === refKey(object));
  return known.view
    .episodes()
    .filter((each) => each.cluster === cluster && each.application === application && isAsked(each.drift.object))
    .filter(({ drift, atMs }) => isOpen(drift.state) || known.nowMs - atMs < recentMs)
    .toSorted((a, b) => Number(isOpen(b.drift.state)) - Number(isOpen(a.drift.state)) || b.atMs - a.atMs);
}

function refusalOf(known: WhyKnown, { application, cluster }: Scope): Facts["refusal"] {
  const found = known.view
    .happenings()
    .findLast(
      ({ cluster: at, event: { application: of, body } }) =>
        at === cluster && body?.$case === "refusal" && (of === "" || of === application),
    );
  if (found?.event.body?.$case !== "refusal") return undefined;
  // One that was answered by a newer document is over.
  const atMs = Number(found.event.atMs);
  const document = cluster === undefined ? undefined : known.document(cluster);
  return document !== undefined && document.issuedAtMs > atMs ? undefined : { refusal: found.event.body.value, atMs };
}

export const isOpen = (state: DriftState): boolean => state === DriftState.SEEN || state === DriftState.CONTESTED;
