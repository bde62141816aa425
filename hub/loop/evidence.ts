import { describeFollow, followOf, type Follow, type Stopped } from "#hub/decide/inputs.ts";
import type { RolloutRecord } from "#hub/decide/record.ts";
import { leftBehind, newestRewrite, type RewriteRecord } from "#hub/decide/rewrites.ts";
import type { Fleet } from "#hub/fleet/fleet.ts";
import type { DesiredStates } from "#hub/loop/desired.ts";
import { recordBranch, type RecordStore } from "#hub/loop/records.ts";
import type { Source } from "#hub/loop/sources.ts";
import { describeStop } from "#hub/loop/stops.ts";
import type { ApplicationName, EnvironmentName, Revision } from "#proto/ids.ts";

/**
 * What a hub that lost its mirrors knows of history: the commits in documents that it signed, and in its record. A head
 * that does not follow from them was rewritten, or went back, while nobody looked.
 */
export type Evidence = {
  /** Takes what people accepted, and compares every head with what clusters were given. Before each decision. */
  judge(fleet: Fleet): Promise<void>;
  /** Writes down what was found to be left behind by what people accepted: documents will not name it for ever. */
  save(): Promise<void>;
  /** Where what is followed stands; unknown until it was judged. */
  at(source: Source, follow: Follow): Revision | Stopped | undefined;
  /** Why nothing at all is published: the fleet's own documents, or the record, are not what they were. */
  stopped(): string | undefined;
};

export type EvidenceParts = {
  readonly fleetSource: Source;
  /** The fleet's own branch. */
  readonly branch: string;
  /** All that are followed, with the fleet's. */
  readonly sources: () => Iterable<Source>;
  readonly sourceOf: (fleet: Fleet, application: ApplicationName) => Source | undefined;
  readonly desired: DesiredStates;
  readonly records: Pick<RecordStore, "now" | "leaveBehind">;
};

type Item = Given & {
  readonly environment: EnvironmentName;
  readonly application: ApplicationName;
};

/** A commit that was in use, and when the first document named it: unknown, and late, where only the record does. */
type Given = { readonly revision: Revision; readonly atMs: number };

export function createEvidence(parts: EvidenceParts): Evidence {
  const { fleetSource, branch, desired, records } = parts;
  const items = new Map<string, Item>();
  const fleetCommits = new Map<string, Given>();
  const recordCommits = new Map<string, Given>();
  /** What was found to be in the history of what is followed: it is not asked again, whatever is followed later. */
  const settled = new Set<string>();
  const judged = new Set<string>();
  const left = new Map<string, { source: Source; branch: string; commits: readonly Revision[] }>();
  /** What of it was written down, as far as the record has room. */
  const written = new Set<string>();

  const takeItem = (item: Item): void => take(items, `${item.environment}/${item.application}/${item.revision}`, item);
  const takeDocuments = (): void => {
    for (const cluster of desired.unjudged()) {
      const { fleetCommit, recordCommit, entries, issuedAtMs: atMs } = desired.known(cluster)!.state;
      take(fleetCommits, fleetCommit, { revision: fleetCommit, atMs });
      if (recordCommit !== "") take(recordCommits, recordCommit, { revision: recordCommit, atMs });
      for (const entry of entries) if (entry.kind === "run") takeItem({ ...entry, atMs });
    }
  };
  const takeRecord = (rollouts: readonly RolloutRecord[]): void => {
    for (const { environment, application, completed } of rollouts)
      if (completed.length > 0) takeItem({ environment, application, revision: completed.at(-1)!, atMs: undated });
  };

  /** What each thing that is followed in a source must hold. */
  const claims = (fleet: Fleet, source: Source): Map<Follow, Given[]> => {
    const found = new Map<string, { follow: Follow; commits: Given[] }>();
    for (const follow of source.follows()) found.set(describeFollow(follow), { follow, commits: [] });
    const claim = (follow: Follow, commits: Iterable<Given>): void =>
      void found.get(describeFollow(follow))?.commits.push(...commits);
    if (source === fleetSource) {
      claim(branch, fleetCommits.values());
      claim(recordBranch, recordCommits.values());
    }
    for (const item of items.values()) {
      const { environment, application } = item;
      const revisions = fleet.environments.get(environment)?.revisions;
      if (revisions === undefined || !("follow" in revisions)) continue;
      if (parts.sourceOf(fleet, application) !== source) continue;
      claim(followOf(fleet.applications.get(application), revisions.follow), [item]);
    }
    return new Map([...found.values()].map(({ follow, commits }) => [follow, commits]));
  };

  const judgeOne = async (source: Source, follow: Follow, claimed: readonly Given[]): Promise<void> => {
    const standing = source.standing(follow);
    if (standing === undefined) return;
    const branch = source.branchOf(follow);
    const { expected, old } = weigh(claimed, recordOf(records.now().rewrites, source.name), branch);
    const key = (commit: Revision): string => `${source.name} ${describeFollow(follow)} ${commit}`;
    const open = [...expected, ...old].filter((commit) => !settled.has(key(commit)));
    const outside = new Set(await source.mirror.outside(open, standing));
    // From one version to another no history leads: what a tag names was released, too.
    if (typeof follow !== "string")
      for (const commit of (await source.mirror.refs()).tags.values()) outside.delete(commit);
    for (const commit of open) if (!outside.has(commit)) settled.add(key(commit));
    source.doubt(
      follow,
      expected.filter((commit) => outside.has(commit)),
    );
    const commits = old.filter((commit) => outside.has(commit) && !written.has(`${source.name} ${branch} ${commit}`));
    left.set(`${source.name} ${branch}`, { source, branch, commits });
    judged.add(judgedKey(source, follow));
  };

  return {
    async judge(fleet) {
      const { rewrites, rollouts, clusters } = records.now();
      const all = [...parts.sources()];
      for (const source of all)
        await source.acceptRecorded((branch) => newestRewrite(recordOf(rewrites, source.name), branch));
      const young = all.filter(({ mirror }) => mirror.isYoung());
      const taken = [...desired.unjudged()];
      if (young.length > 0) {
        takeDocuments();
        takeRecord(rollouts);
      }
      for (const source of young)
        for (const [follow, commits] of claims(fleet, source)) await judgeOne(source, follow, commits);
      desired.judged(taken);
      const isHeard = [...clusters.values()].every(({ cluster, revoked }) => revoked !== null || desired.has(cluster));
      // Nobody looks for it again once the mirror is trusted.
      const isAllWritten = [...left.values()].every(({ commits }) => commits.length === 0);
      if (isHeard && isAllWritten && desired.unjudged().size === 0)
        for (const source of young)
          if (source.follows().every((follow) => isProved(source, follow))) await source.mirror.trust();
    },
    async save() {
      for (const [key, { source, branch, commits }] of left) {
        if (commits.length > 0) await records.leaveBehind(source.name, branch, commits);
        for (const commit of commits) written.add(`${source.name} ${branch} ${commit}`);
        left.delete(key);
      }
    },
    at: (source, follow) =>
      source.mirror.isYoung() && !judged.has(judgedKey(source, follow)) ? undefined : source.at(follow),
    stopped() {
      const stop = fleetSource
        .stops()
        .find((stop) => stop.kind === "unproved" && (stop.branch === branch || stop.branch === recordBranch));
      return stop && describeStop(stop);
    },
  };

  function isProved(source: Source, follow: Follow): boolean {
    const isMissing = source.standing(follow) === undefined && follow === recordBranch;
    const isDoubted = source
      .stops()
      .some(({ kind, branch }) => kind === "unproved" && branch === source.branchOf(follow));
    return isMissing || (judged.has(judgedKey(source, follow)) && !isDoubted);
  }
}

const undated = Number.POSITIVE_INFINITY;

const judgedKey = (source: Source, follow: Follow): string => `${source.url} ${describeFollow(follow)}`;

const recordOf = (rewrites: readonly RewriteRecord[], repository: string): RewriteRecord | undefined =>
  rewrites.find((record) => record.repository === repository);

const take = <One extends Given>(all: Map<string, One>, key: string, one: One): void => {
  const before = all.get(key);
  if (before === undefined || before.atMs > one.atMs) all.set(key, one);
};

/**
 * `expected` must be in the history: what people accepted last, and what was in use since. `old` was in use before, and need
 * not be: also what a document names of a cluster that nobody had heard when they said so, and what the record says of
 * that cluster since. What they are known to have left behind is in neither.
 */
function weigh(
  claimed: readonly Given[],
  record: RewriteRecord | undefined,
  branch: string,
): { readonly expected: readonly Revision[]; readonly old: readonly Revision[] } {
  const newest = newestRewrite(record, branch);
  const past = leftBehind(record, branch);
  const accepted = newest === undefined || newest.to === "" ? [] : [newest.to];
  const open = claimed.filter(({ revision }) => !past.has(revision) && !accepted.includes(revision));
  const old = new Set(open.filter(({ atMs }) => newest && atMs < newest.atMs).map(({ revision }) => revision));
  const expected = open.map(({ revision }) => revision).filter((revision) => !old.has(revision));
  return { expected: [...new Set([...expected, ...accepted])], old: [...old] };
}
