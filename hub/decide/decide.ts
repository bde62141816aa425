import type { EntryKey } from "#proto/desired-state.ts";
import type { ClusterId, EnvironmentName, Revision } from "#proto/ids.ts";
import {
  keyOf,
  type DecidedEntry,
  type DecidedRun,
  type Decision,
  type DeclaredEnvironment,
  type DeclaredRemoval,
  type Inputs,
  type SignatureAsk,
  type SignedEntry,
  type SignedRun,
  type Target,
  type Waiting,
} from "./inputs.ts";
import {
  isProvedByName,
  membersOf,
  prove,
  provedByDigest,
  recordOf,
  signedEntry,
  signedRun,
  soakAfter,
} from "./prove.ts";
import { keptRevisions, sameRollout, type RolloutRecord } from "./record.ts";
import { unsignedRequest } from "./signatures.ts";
import { freezes, wantedRevision, type Wanted } from "./wanted.ts";

/**
 * What every cluster shall run, hold or remove. Objects are taken away for a Removal alone: whatever else is missing
 * (a label, a file, a rendering, a receipt) leaves a cluster as it is, and `waiting` says why.
 */
export function decide(inputs: Inputs): Decision {
  const keys = declaredKeys(inputs);
  const draft: Draft = { inputs, render: [], examine: [], waiting: [], desired: new Map() };
  const proved = new Map(keys.map((key) => [keyOf(key), proveAll(draft, key)]));
  for (const cluster of publishable(draft)) draft.desired.set(cluster, new Map());
  for (const key of keys) decideMembers(draft, key, proved);
  holdTheRest(draft);
  removeWhatWasAsked(draft);
  const changed = [...proved.values()].filter((record) => !sameRollout(record, recordOf(record, inputs)));
  const [renamed, records] = partition(changed, (record) => isProvedByName(record, inputs));
  return {
    render: draft.render,
    examine: draft.examine,
    desired: new Map([...draft.desired].map(([cluster, entries]) => [cluster, inOrder(entries)])),
    records,
    renamed,
    waiting: draft.waiting,
  };
}

/** The record with what receipts prove now, also of revisions that only share a digest with the one that ran. */
function proveAll({ inputs, render }: Draft, key: EntryKey): RolloutRecord {
  const record = prove(key, inputs);
  const same = provedByDigest(key, record, inputs);
  render.push(...same.render);
  return same.revisions.length === 0
    ? record
    : { ...record, qualified: [...record.qualified, ...same.revisions].slice(-keptRevisions) };
}

type Draft = {
  readonly inputs: Inputs;
  readonly render: Target[];
  readonly examine: SignatureAsk[];
  readonly waiting: Waiting[];
  readonly desired: Map<ClusterId, Map<string, DecidedEntry>>;
};

function declaredKeys(inputs: Inputs): EntryKey[] {
  const keys = [...inputs.applications].flatMap(([application, { environments }]) =>
    environments.filter((name) => inputs.environments.has(name)).map((environment) => ({ application, environment })),
  );
  return keys.sort((a, b) => compare(keyOf(a), keyOf(b)));
}

/** Declared, enrolled, not revoked, and its last document known. Any other cluster keeps the document it has. */
function publishable({ inputs }: Draft): ClusterId[] {
  const names = [...inputs.clusters.keys()].sort();
  return names.filter((cluster) => inputs.clusterRecords.get(cluster)?.revoked === null && inputs.signed.has(cluster));
}

function decideMembers(draft: Draft, key: EntryKey, proved: ReadonlyMap<string, RolloutRecord>): void {
  const { inputs } = draft;
  const environment = inputs.environments.get(key.environment)!;
  const provedAt = (name: EnvironmentName): RolloutRecord =>
    proved.get(keyOf({ ...key, environment: name })) ?? recordOf({ ...key, environment: name }, inputs);
  const wanted = wantedRevision(key, environment, inputs, provedAt);
  if (wanted.kind === "stay") {
    draft.waiting.push({ ...key, because: wanted.because });
    draft.examine.push(...(wanted.examine ?? []));
  }
  for (const cluster of membersOf(environment, inputs)) {
    const entries = draft.desired.get(cluster);
    if (entries) addEntry(entries, decideMember(draft, key, cluster, wanted));
    else
      draft.waiting.push({
        ...key,
        cluster,
        because: `what ${cluster} runs is not known yet: nothing is published to it`,
      });
  }
}

function decideMember(draft: Draft, key: EntryKey, cluster: ClusterId, wanted: Wanted): DecidedEntry | undefined {
  const { inputs } = draft;
  const signed = signedRun(key, cluster, inputs);
  if (wanted.kind === "stay") {
    if (signed) return keep(draft, signed, cluster);
    // A held entry means that something may run here which no signed run names any more: it stays held.
    const started = signedEntry(key, cluster, inputs)?.kind === "hold";
    if (started || wanted.joiners === undefined) return { ...key, kind: "hold", because: wanted.because };
    return run(draft, key, cluster, wanted.joiners, "");
  }
  const freeze = inputs.freezes.find(
    (freeze) => freeze.clusters.includes(cluster) && freezes(freeze, key, inputs.nowMs),
  );
  if (!freeze) return run(draft, key, cluster, wanted.revision, wanted.allowPrune);
  const because = `${cluster} is frozen by ${freeze.name}: ${freeze.reason}`;
  draft.waiting.push({ ...key, cluster, because });
  return signed ? keep(draft, signed, cluster) : { ...key, kind: "hold", because };
}

function run(
  draft: Draft,
  key: EntryKey,
  cluster: ClusterId,
  revision: Revision,
  allowPrune: string,
): DecidedEntry | undefined {
  const target: Target = { ...key, revision, cluster };
  const outcome = draft.inputs.rendered(target);
  if (outcome === undefined) {
    draft.render.push(target);
    const signed = signedEntry(key, cluster, draft.inputs);
    return signed && signed.kind !== "remove" ? asDecided(signed) : undefined;
  }
  if (!outcome.ok) {
    draft.waiting.push({ ...key, cluster, because: `${revision.slice(0, 7)} does not render: ${outcome.because}` });
    return { ...key, kind: "hold", because: outcome.because };
  }
  const { digest, inputs } = outcome;
  const delivery = { ...policy(draft, key, cluster), allowPrune };
  const signed = signedRun(key, cluster, draft.inputs);
  if (signed !== undefined && inputs !== undefined && signed.inputs === inputs && signed.digest !== digest) {
    // A hub that lost what it rendered must not write what nobody asked for.
    draft.waiting.push({ ...key, cluster, because: otherwise(revision, signed.digest, digest) });
    return { ...asRun(signed), delivery };
  }
  return { ...key, kind: "run", revision, digest, delivery, ...(inputs !== undefined && { inputs }) };
}

const otherwise = (revision: Revision, before: string, now: string): string =>
  `${revision.slice(0, 7)} does not render to the same again: the same files and settings gave ${before.slice(0, 12)}, which runs on, and now ${now.slice(0, 12)}. Something in the chart depends on the time or on chance: give it in values, or name its object under spec.source.helm.once`;

/** The signed bundle, with what must reach a cluster even while its wave is closed: exceptions and freezes of healing. */
function keep(draft: Draft, signed: SignedRun, cluster: ClusterId): DecidedRun {
  const { exceptions, healingFrozen } = policy(draft, signed, cluster);
  return { ...asRun(signed), delivery: { ...signed.delivery, exceptions, healingFrozen } };
}

const asDecided = (entry: SignedEntry): DecidedEntry => (entry.kind === "run" ? asRun(entry) : entry);

const asRun = ({ signedAs: _signedAs, ...decided }: SignedRun): DecidedRun => decided;

function policy({ inputs }: Draft, key: EntryKey, cluster: ClusterId): DecidedRun["delivery"] {
  const stopped = inputs.freezes.find(
    (freeze) =>
      !freeze.healing &&
      freezes(freeze, key, inputs.nowMs) &&
      (freeze.clusters.length === 0 || freeze.clusters.includes(cluster)),
  );
  const soak = soakAfter(key, inputs);
  return {
    ...inputs.delivery(key, cluster),
    soakMarksMs: soak > 0 ? [soak] : [],
    healingFrozen: stopped ? { untilMs: stopped.untilMs } : null,
  };
}

/** What a cluster was given and nothing declares for it any more is held: a typo in a label takes nothing away. */
function holdTheRest(draft: Draft): void {
  for (const [cluster, entries] of draft.desired) {
    for (const signed of draft.inputs.signed.get(cluster)!) {
      const { application, environment } = signed;
      if (signed.kind === "remove" || entries.has(keyOf(signed)) || isMember(draft.inputs, signed, cluster)) continue;
      const because = `${cluster} is no longer selected for ${application} in ${environment}: it keeps what it runs until a Removal`;
      addEntry(entries, { application, environment, kind: "hold", because });
      draft.waiting.push({ application, environment, cluster, because });
    }
  }
}

function isMember(inputs: Inputs, key: EntryKey, cluster: ClusterId): boolean {
  const environment: DeclaredEnvironment | undefined = inputs.environments.get(key.environment);
  const declared = inputs.applications.get(key.application)?.environments.includes(key.environment) ?? false;
  return environment !== undefined && declared && membersOf(environment, inputs).includes(cluster);
}

/** The one place that makes a remove entry. Only for what a cluster was given, or would be given now. */
function removeWhatWasAsked(draft: Draft): void {
  for (const [cluster, entries] of draft.desired) {
    const signed = draft.inputs.signed.get(cluster)!;
    for (const entry of [...signed, ...entries.values()]) {
      const removal = draft.inputs.removals.find((removal) => covers(removal, entry, cluster));
      if (!removal) continue;
      const { application, environment } = entry;
      const before = signed.find((entry) => keyOf(entry) === keyOf({ application, environment }));
      const unsigned = unsignedRequest(entry, removal.file, draft.inputs);
      if (unsigned) {
        draft.examine.push(...unsigned.examine);
        draft.waiting.push({ application, environment, cluster, because: `not removed: ${unsigned.because}` });
        // Nor does what is being removed come back, for a document that nobody signed.
        if (before?.kind === "remove") entries.set(keyOf(entry), before);
        continue;
      }
      const commit = before?.kind === "remove" ? before.commit : draft.inputs.fleetCommit;
      entries.set(keyOf(entry), { application, environment, kind: "remove", mode: removal.mode, commit });
    }
  }
}

const covers = ({ application, scope }: DeclaredRemoval, key: EntryKey, cluster: ClusterId): boolean =>
  application === key.application &&
  ("cluster" in scope ? scope.cluster === cluster : scope.environment === key.environment);

function addEntry(entries: Map<string, DecidedEntry>, entry: DecidedEntry | undefined): void {
  if (entry) entries.set(keyOf(entry), entry);
}

const inOrder = (entries: ReadonlyMap<string, DecidedEntry>): DecidedEntry[] =>
  [...entries].sort(([a], [b]) => compare(a, b)).map(([, entry]) => entry);

function partition<Value>(values: readonly Value[], holds: (value: Value) => boolean): [Value[], Value[]] {
  const { yes = [], no = [] } = Object.groupBy(values, (value) => (holds(value) ? "yes" : "no"));
  return [yes, no];
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
