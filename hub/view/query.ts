import { selects, type Waiting } from "#hub/decide/inputs.ts";
import type { ClusterRecord } from "#hub/decide/record.ts";
import type { Fleet } from "#hub/fleet/fleet.ts";
import { describeProblem, type FleetProblem } from "#hub/fleet/problem.ts";
import type { Happening, SeenCluster, SeenDrift, SeenStatus, View } from "#hub/view/view.ts";
import { driftKindWord, driftStateWord, healthOrder, healthWord, phaseWord, worst } from "#hub/view/words.ts";
import type {
  ClusterAnswer,
  ClusterApplication,
  ClusterRow,
  DriftRow,
  HealthCounts,
  HealthWord,
  HistoryRow,
  StatusAnswer,
  StatusRow,
} from "#proto/api.ts";
import { ApplicationPhase, Health, type Event } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { revision, type ClusterId, type Revision } from "#proto/ids.ts";
import { describeRef } from "#proto/object.ts";

/** Three heartbeats: an older word says nothing of now. */
export const staleMs = 45_000;

/** All that is looked at: what people want, what was decided, and what agents said. */
export type Known = {
  readonly view: View;
  readonly fleet: Fleet;
  readonly fleetCommit: string;
  readonly problems: readonly FleetProblem[];
  readonly alarms: readonly string[];
  readonly waiting: readonly Waiting[];
  /** By what an Application is rendered in an Environment, and why so; empty while this hub rendered nothing of it. */
  readonly rendered?: (application: string, environment: string) => string;
  /** What is probably a mistake in its manifests. */
  readonly warnings?: (application: string, environment: string) => readonly string[];
  /** Why the newest document of a cluster holds an Application, in the hub's words of then. */
  readonly held?: (cluster: ClusterId, application: string) => string | undefined;
  readonly records: ReadonlyMap<ClusterId, ClusterRecord>;
  readonly nowMs: number;
};

export function queryStatus(known: Known): StatusAnswer {
  const { fleet, view, nowMs } = known;
  const rows = [...fleet.applications.values()].flatMap(({ name: application, environments }) =>
    environments.map((environment) => statusRow(known, environment, application)),
  );
  const names = [...fleet.clusters.keys()];
  return {
    fleetCommit: known.fleetCommit,
    environments: fleet.environments.size,
    applications: fleet.applications.size,
    clusters: names.length,
    heard: names.filter((name) => isHeard(view.clusters.get(name), nowMs)).length,
    rows: rows.sort(
      (a, b) => rank(a) - rank(b) || compare(a.environment, b.environment) || compare(a.application, b.application),
    ),
    problems: known.problems.map(describeProblem),
    alarms: known.alarms,
  };
}

function statusRow(known: Known, environment: string, application: string): StatusRow {
  const { fleet, view, nowMs, records, waiting } = known;
  const selector = [...fleet.environments.values()].find(({ name }) => name === environment)?.clusters;
  const members = [...fleet.clusters.values()].filter(
    ({ name, labels }) => selector !== undefined && selects(selector, labels) && records.get(name)?.revoked === null,
  );
  const seen = members.map(({ name }) => {
    const cluster = view.clusters.get(name);
    const status = cluster?.applications.get(application);
    const own = status?.status.environment === environment ? status : undefined;
    return { name, status: own, health: healthNow(cluster, own, nowMs) };
  });
  const health = countsOf(seen.map(({ health }) => health));
  const revisions = Map.groupBy(
    seen.filter(({ status }) => (status?.status.revision ?? "") !== ""),
    ({ status }) => status!.status.revision,
  );
  const said = waiting.filter((wait) => wait.environment === environment && wait.application === application);
  const refused = Map.groupBy(
    seen.filter(({ name, status }) => isNews(status?.status.reason ?? "", said, () => known.held?.(name, application))),
    ({ status }) => status!.status.reason,
  );
  return {
    environment,
    application,
    revisions: [...revisions]
      .map(([revision, clusters]) => ({ revision, clusters: clusters.length }))
      .sort((a, b) => b.clusters - a.clusters),
    clusters: members.length,
    settled: seen.filter(
      ({ health, status }) => health === "Current" && status?.status.phase === ApplicationPhase.APPLIED,
    ).length,
    health,
    rendered: known.rendered?.(application, environment) ?? "",
    warnings: known.warnings?.(application, environment) ?? [],
    drifted: seen.reduce((sum, { status }) => sum + (status?.status.drifted ?? 0), 0),
    reasons: [
      ...new Set(said.map(({ because }) => because)),
      ...[...refused].map(([reason, clusters]) => `${firstOf(clusters.map(({ name }) => name))}: ${reason}`),
    ],
  };
}

/** The revision that a cluster's agent said it runs; undefined where it said none. */
export function toldRevision(
  view: View,
  cluster: ClusterId,
  application: string,
  environment: string,
): Revision | undefined {
  const status = view.clusters.get(cluster)?.applications.get(application)?.status;
  return status?.environment === environment && status.revision !== "" ? revision(status.revision) : undefined;
}

/** What clusters repeat of the hub's own words, because it told them, is said once; and older words not at all. */
const isNews = (reason: string, said: Known["waiting"], held: () => string | undefined): boolean =>
  reason !== "" && !said.some(({ because }) => because.endsWith(reason)) && (said.length === 0 || reason !== held());

const firstOf = (names: readonly string[]): string =>
  names.length <= 3 ? names.join(", ") : `${names.slice(0, 2).join(", ")} and ${names.length - 2} more`;

export function queryClusters(known: Known): ClusterRow[] {
  const { fleet, records, view } = known;
  const names = new Set<ClusterId>([...fleet.clusters.keys(), ...records.keys(), ...view.clusters.keys()]);
  return [...names]
    .map((name) => clusterRow(known, name))
    .sort((a, b) => healthOrder.indexOf(a.health) - healthOrder.indexOf(b.health) || compare(a.cluster, b.cluster));
}

/** Undefined when nobody has ever heard of it. */
export function queryCluster(known: Known, name: string): ClusterAnswer | undefined {
  const row = queryClusters(known).find(({ cluster }) => cluster === name);
  if (row === undefined) return undefined;
  const seen = known.view.clusters.get(name as ClusterId);
  const running = [...(seen?.applications.values() ?? [])]
    .map((status) => applicationRow(seen, status, known.nowMs))
    .sort((a, b) => compare(a.application, b.application));
  return { ...row, running };
}

function clusterRow({ fleet, records, view, nowMs }: Known, name: ClusterId): ClusterRow {
  const declared = fleet.clusters.get(name);
  const record = records.get(name);
  const seen = view.clusters.get(name);
  const statuses = [...(seen?.applications.values() ?? [])];
  return {
    cluster: name,
    labels: declared?.labels ?? {},
    state: stateOf(declared !== undefined, record, isHeard(seen, nowMs)),
    heardAgoMs: seen?.heardAtMs === undefined ? null : nowMs - seen.heardAtMs,
    kubernetes: seen?.kubernetes ?? "",
    agent: seen?.agent ?? "",
    applications: statuses.length,
    objects: statuses.reduce((sum, { status }) => sum + status.objects, 0),
    health: isHeard(seen, nowMs) ? worst(statuses.map((status) => healthNow(seen, status, nowMs))) : "Unknown",
    drifted: statuses.reduce((sum, { status }) => sum + status.drifted, 0),
  };
}

function stateOf(isDeclared: boolean, record: ClusterRecord | undefined, heard: boolean): ClusterRow["state"] {
  if (record?.revoked) return "Revoked";
  if (!isDeclared) return "Undeclared";
  if (record === undefined) return "Declared";
  return heard ? "Connected" : "Silent";
}

function applicationRow(cluster: SeenCluster | undefined, seen: SeenStatus, nowMs: number): ClusterApplication {
  const { status, atMs } = seen;
  return {
    application: status.application,
    environment: status.environment,
    revision: status.revision,
    digest: Buffer.from(status.digest).toString("hex"),
    phase: phaseWord(status.phase),
    health: healthNow(cluster, seen, nowMs),
    reason: status.reason,
    objects: status.objects,
    current: status.current,
    drifted: status.drifted,
    reportedAgoMs: nowMs - atMs,
    exceptional: status.exceptional.map(({ object, health, reason, drifted }) => ({
      object: object === undefined ? "" : describeRef(object),
      health: healthWord(health),
      reason,
      drifted,
    })),
    problems: status.problems.map(({ object, reason, message, final, nextTryAtMs }) => ({
      object: object === undefined ? "" : describeRef(object),
      reason,
      message,
      nextTryInMs: final ? null : Math.max(0, Number(nextTryAtMs) - nowMs),
    })),
  };
}

export function queryDrift(known: Known, sinceMs: number): DriftRow[] {
  const rows = known.view.episodes().filter(({ drift }) => Number(drift.seenAtMs) >= sinceMs);
  const order = ["contested", "seen", "healed", "ended"];
  return rows
    .map(driftRow)
    .sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state) || compare(b.seenAt, a.seenAt));
}

export function driftRow({ cluster, application, environment, drift }: SeenDrift): DriftRow {
  const seenAtMs = Number(drift.seenAtMs);
  const healedAtMs = Number(drift.healedAtMs);
  return {
    episode: drift.episode,
    cluster,
    environment,
    application,
    object: drift.object === undefined ? "" : describeRef(drift.object),
    kind: driftKindWord(drift.kind),
    state: driftStateWord(drift.state),
    fields: drift.fields,
    tool: drift.tool,
    changedAt: timeOf(Number(drift.changedAtMs)),
    seenAt: new Date(seenAtMs).toISOString(),
    healedAt: timeOf(healedAtMs),
    healedInMs: healedAtMs === 0 ? null : Math.max(0, healedAtMs - seenAtMs),
    reason: drift.reason,
  };
}

export const queryHistory = ({ view }: Known, limit: number): HistoryRow[] =>
  view.happenings().slice(-limit).toReversed().map(historyRow);

function historyRow({ cluster, atMs, event }: Happening): HistoryRow {
  const at = new Date(Number(event.atMs) || atMs).toISOString();
  return { at, cluster, environment: event.environment, application: event.application, ...sentenceOf(event) };
}

function sentenceOf({ body }: Event): { what: string; text: string } {
  switch (body?.$case) {
    case "receipt": {
      const { revision, healthy, created, configured, pruned } = body.value;
      const changed = `${created} created, ${configured} configured, ${pruned} pruned`;
      return {
        what: "receipt",
        text: `${revision.slice(0, 7)} ${healthy ? "applied and healthy" : "failed"}: ${changed}`,
      };
    }
    case "drift": {
      const { object, kind, state, tool, reason } = body.value;
      const why = reason === "" ? "" : `: ${reason}`;
      return {
        what: "drift",
        text: `${object ? describeRef(object) : "?"} ${driftKindWord(kind)} by ${tool || "unknown"}: ${driftStateWord(state)}${why}`,
      };
    }
    case "health": {
      const { object, before, after, reason } = body.value;
      return {
        what: "health",
        text: `${object ? describeRef(object) : "?"} ${healthWord(before)} → ${healthWord(after)} ${reason}`,
      };
    }
    case "refusal":
      return { what: "refused", text: `${body.value.reason}: ${body.value.detail}` };
    case "pruned": {
      const { deleted, orphaned, blocked } = body.value;
      if (blocked !== "") return { what: "prune blocked", text: blocked };
      return {
        what: "pruned",
        text: `${deleted.map(describeRef).join(", ") || "nothing"} deleted${orphaned.length > 0 ? `; kept: ${orphaned.map(describeRef).join(", ")}` : ""}`,
      };
    }
    case "dropped":
      return { what: "lost", text: `${body.value.events} events were dropped while the hub was away` };
    case "problem":
      return {
        what: "apply refused",
        text: `${body.value.object ? describeRef(body.value.object) : "?"}: ${body.value.message}`,
      };
    case "notice":
      return { what: "notice", text: body.value.text };
    case undefined:
      return { what: "unknown", text: "an event of a newer agent" };
  }
}

/** What is known now of one Application in one environment on one cluster. */
export function healthOn(
  { view, nowMs }: Known,
  cluster: ClusterId,
  environment: string,
  application: string,
): HealthWord {
  const seen = view.clusters.get(cluster);
  const status = seen?.applications.get(application);
  return healthNow(seen, status?.status.environment === environment ? status : undefined, nowMs);
}

/** Whatever was said before a silence is no evidence of now. */
function healthNow(cluster: SeenCluster | undefined, seen: SeenStatus | undefined, nowMs: number): HealthWord {
  if (!isHeard(cluster, nowMs) || seen === undefined) return "Unknown";
  const { health, phase } = seen.status;
  if (phase === ApplicationPhase.FAILED || phase === ApplicationPhase.BLOCKED) return "Failed";
  if (phase === ApplicationPhase.APPLYING && health === Health.CURRENT) return "InProgress";
  return healthWord(health);
}

export const isHeard = (cluster: SeenCluster | undefined, nowMs: number): boolean =>
  cluster?.connected === true && cluster.heardAtMs !== undefined && nowMs - cluster.heardAtMs <= staleMs;

function countsOf(words: readonly HealthWord[]): HealthCounts {
  const counts = { Current: 0, InProgress: 0, Failed: 0, Terminating: 0, NotFound: 0, Unknown: 0 };
  for (const word of words) counts[word] += 1;
  return counts;
}

/** Rows that somebody should look at come first. */
function rank(row: StatusRow): number {
  const word = healthOrder.findIndex((word) => row.health[word] > 0 && word !== "Current");
  return word < 0 ? (row.drifted > 0 ? 50 : row.reasons.length > 0 ? 60 : 100) : word;
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const timeOf = (ms: number): string | null => (ms === 0 ? null : new Date(ms).toISOString());
