import type { EntryKey } from "#proto/desired-state.ts";
import type { ClusterId, Revision } from "#proto/ids.ts";
import { keyOf, selects, type DecidedRun, type DeclaredEnvironment, type Inputs } from "./inputs.ts";
import { keptRevisions, type RolloutRecord } from "./record.ts";

/** Clusters that an environment selects now and that are enrolled and not revoked, in the order of their names. */
export function membersOf(environment: DeclaredEnvironment, inputs: Inputs): ClusterId[] {
  const members = [...inputs.clusters].filter(([cluster, { labels }]) => {
    const record = inputs.clusterRecords.get(cluster);
    return record !== undefined && record.revoked === null && selects(environment.clusters, labels);
  });
  return members.map(([cluster]) => cluster).sort();
}

export function recordOf(key: EntryKey, inputs: Inputs): RolloutRecord {
  const found = inputs.records.find((record) => keyOf(record) === keyOf(key));
  return found ?? { environment: key.environment, application: key.application, qualified: [], completed: [] };
}

/** How long a revision must have been healthy in this environment before those promoted from it may take it. */
export function soakAfter(key: EntryKey, inputs: Inputs): number {
  const application = inputs.applications.get(key.application);
  const soaks = (application?.environments ?? []).map((name) => {
    const next = inputs.environments.get(name);
    const takesFromHere =
      next && "promotedFrom" in next.revisions && next.revisions.promotedFrom.includes(key.environment);
    return takesFromHere ? next.soakMs : 0;
  });
  return Math.max(0, ...soaks);
}

/**
 * The record with what receipts now prove, or the same record. A receipt counts only for the exact digest that the
 * cluster's signed state names; every heard member must have one, and at least one must exist.
 */
export function prove(key: EntryKey, inputs: Inputs): RolloutRecord {
  const record = recordOf(key, inputs);
  const environment = inputs.environments.get(key.environment);
  if (!environment) return record;
  const heard = membersOf(environment, inputs).filter((cluster) => inputs.heard.has(cluster));
  const runs = heard.map((cluster) => ({ cluster, entry: signedRun(key, cluster, inputs) }));
  const proved = runs[0]?.entry?.revision;
  if (proved === undefined || !runs.every(({ entry }) => entry?.revision === proved)) return record;
  const healthyForMs = runs.map(({ cluster, entry }) => provenFor(cluster, entry!, inputs));
  if (healthyForMs.includes(null)) return record;
  const soaked = healthyForMs.every((ms) => ms! >= soakAfter(key, inputs));
  return {
    ...record,
    completed: latest(record.completed, proved),
    qualified: soaked ? latest(record.qualified, proved) : record.qualified,
  };
}

export function signedRun(key: EntryKey, cluster: ClusterId, inputs: Inputs): DecidedRun | undefined {
  const entry = inputs.signed.get(cluster)?.find((entry) => keyOf(entry) === keyOf(key));
  return entry?.kind === "run" ? entry : undefined;
}

/** Null without a receipt that says: this digest is healthy here. */
function provenFor(cluster: ClusterId, entry: DecidedRun, inputs: Inputs): number | null {
  const own = inputs.receipts.filter(
    (receipt) => receipt.cluster === cluster && keyOf(receipt) === keyOf(entry) && receipt.digest === entry.digest,
  );
  const healthy = own.filter((receipt) => receipt.healthy).map((receipt) => receipt.healthyForMs);
  return healthy.length === 0 ? null : Math.max(...healthy);
}

function latest(revisions: readonly Revision[], revision: Revision): readonly Revision[] {
  if (revisions.at(-1) === revision) return revisions;
  return [...revisions.filter((other) => other !== revision), revision].slice(-keptRevisions);
}
