import type { EntryKey } from "#proto/desired-state.ts";
import type { ClusterId, EnvironmentName, Revision } from "#proto/ids.ts";
import { grouped } from "./grouped.ts";
import {
  keyOf,
  selects,
  type DeclaredEnvironment,
  type Inputs,
  type SeenReceipt,
  type SignedEntry,
  type SignedRun,
  type Target,
} from "./inputs.ts";
import { keptRevisions, type RolloutRecord } from "./record.ts";

const recordsOf = grouped<RolloutRecord>(keyOf);
const entriesOf = grouped<SignedEntry>(keyOf);
const receiptsOf = grouped<SeenReceipt>((receipt) => `${receipt.cluster}/${keyOf(receipt)}`);

/** Clusters that an environment selects now and that are enrolled and not revoked, in the order of their names. */
export function membersOf(environment: DeclaredEnvironment, inputs: Inputs): ClusterId[] {
  const members = [...inputs.clusters].filter(([cluster, { labels }]) => {
    const record = inputs.clusterRecords.get(cluster);
    return record !== undefined && record.revoked === null && selects(environment.clusters, labels);
  });
  return members.map(([cluster]) => cluster).sort();
}

export function recordOf(key: EntryKey, inputs: Inputs): RolloutRecord {
  const [found] = recordsOf(inputs.records, keyOf(key));
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

/** Whether the newest proof says no more than that another revision gives what was proved already. */
export function isProvedByName(key: EntryKey, inputs: Inputs): boolean {
  const environment = inputs.environments.get(key.environment);
  if (!environment) return false;
  const heard = membersOf(environment, inputs).filter((cluster) => inputs.heard.has(cluster));
  return heard.every((cluster) => signedRun(key, cluster, inputs)?.signedAs !== undefined);
}

/**
 * Revisions that environments after this one ask for and that give, for every heard member, the very digest that was
 * proved here: their receipts exist already, under another revision's name. `render` is missing to tell.
 */
export function provedByDigest(
  key: EntryKey,
  record: RolloutRecord,
  inputs: Inputs,
): { readonly revisions: readonly Revision[]; readonly render: readonly Target[] } {
  const environment = inputs.environments.get(key.environment);
  const asked = inputs.promotions.filter(
    (promotion) => promotion.application === key.application && takesFrom(promotion.environment, key, inputs),
  );
  const open = [...new Set(asked.map(({ revision }) => revision))].filter(
    (revision) => !record.qualified.includes(revision),
  );
  if (!environment || open.length === 0) return { revisions: [], render: [] };
  const heard = membersOf(environment, inputs).filter((cluster) => inputs.heard.has(cluster));
  const runs = heard.map((cluster) => ({ cluster, entry: signedRun(key, cluster, inputs) }));
  const soak = soakAfter(key, inputs);
  const areProved = runs.every(({ cluster, entry }) => entry && (provenFor(cluster, entry, inputs) ?? -1) >= soak);
  if (runs.length === 0 || !areProved) return { revisions: [], render: [] };
  const render: Target[] = [];
  const revisions = open.filter((revision) =>
    runs.every(({ cluster, entry }) => {
      const target = { ...key, revision, cluster };
      const outcome = inputs.rendered(target);
      if (outcome === undefined) render.push(target);
      return outcome?.ok === true && outcome.digest === entry!.digest;
    }),
  );
  return { revisions, render };
}

function takesFrom(name: EnvironmentName, { environment }: EntryKey, inputs: Inputs): boolean {
  const next = inputs.environments.get(name);
  return next !== undefined && "promotedFrom" in next.revisions && next.revisions.promotedFrom.includes(environment);
}

export const signedEntry = (key: EntryKey, cluster: ClusterId, inputs: Inputs): SignedEntry | undefined =>
  entriesOf(inputs.signed.get(cluster) ?? [], keyOf(key))[0];

export function signedRun(key: EntryKey, cluster: ClusterId, inputs: Inputs): SignedRun | undefined {
  const entry = signedEntry(key, cluster, inputs);
  return entry?.kind === "run" ? entry : undefined;
}

/** Null without a receipt that says: this digest is healthy here. */
function provenFor(cluster: ClusterId, entry: SignedRun, inputs: Inputs): number | null {
  const own = receiptsOf(inputs.receipts, `${cluster}/${keyOf(entry)}`).filter(({ digest }) => digest === entry.digest);
  const healthy = own.filter((receipt) => receipt.healthy).map((receipt) => receipt.healthyForMs);
  return healthy.length === 0 ? null : Math.max(...healthy);
}

function latest(revisions: readonly Revision[], revision: Revision): readonly Revision[] {
  if (revisions.at(-1) === revision) return revisions;
  return [...revisions.filter((other) => other !== revision), revision].slice(-keptRevisions);
}
