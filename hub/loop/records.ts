import { randomUUID } from "node:crypto";
import { chartKey, chartRecordPath, formatChartRecord, type ChartRecord } from "#hub/decide/chart-record.ts";
import {
  clusterRecordPath,
  formatClusterRecord,
  formatRolloutRecord,
  rolloutRecordPath,
  sameRollout,
  type ClusterRecord,
  type RolloutRecord,
} from "#hub/decide/record.ts";
import {
  formatRewriteRecord,
  newestRewrite,
  rewriteRecordPath,
  withDropped,
  withRewrite,
  type Rewrite,
  type RewriteRecord,
} from "#hub/decide/rewrites.ts";
import { keyOf } from "#hub/decide/inputs.ts";
import type { Mirror } from "#hub/git/mirror.ts";
import type { GitSigner } from "#hub/git/sign.ts";
import { recordReader } from "#hub/loop/read-records.ts";
import { createPending } from "#hub/loop/pending-records.ts";
import type { Clock } from "#lib/clock.ts";
import { reasonOf, type Log } from "#lib/log.ts";
import { serial } from "#lib/serial.ts";
import type { ApplicationName, ClusterId, Revision } from "#proto/ids.ts";

export const recordBranch = "plumbline/record";
/** How each of our subjects begins here, and none on other branches: what we sign there is no decision. */
const subjectBegin = "record: ";
/** A fetch and a push each; more in a row means that something else writes there all the time. */
const pushTries = 5;
/** What a crash before then loses is proved again, or asked for again: fewer commits are worth more. */
const soonMs = 30_000;

/** What the hub decided, as its own branch says. Loaded whole, changed by one commit at a time. */
export type Records = {
  readonly commit: Revision | "";
  readonly clusters: ReadonlyMap<ClusterId, ClusterRecord>;
  readonly rollouts: readonly RolloutRecord[];
  /** What people accepted of rewritten history, one a repository. */
  readonly rewrites: readonly RewriteRecord[];
  /** By `chartKey`. */
  readonly charts: ReadonlyMap<string, ChartRecord>;
};

const nothing: Records = { commit: "", clusters: new Map(), rollouts: [], rewrites: [], charts: new Map() };

/** Another's record stands where this one would go. */
export type Recorded = "recorded" | "taken";

export type RecordStore = {
  now(): Records;
  /** What stands on the branch and is not ours, in a sentence; empty when all of it is. */
  alarm(): string;
  /** Reads the branch as the last fetch found it. */
  load(): Promise<void>;
  /** Puts a cluster's keys on record, unless it has some. This compare-and-swap is what uses a join token up. */
  accept(record: ClusterRecord): Promise<Recorded>;
  revoke(cluster: ClusterId, because: string): Promise<void>;
  /** Writes down that a person accepted another history of a branch. */
  acceptRewrite(repository: string, rewrite: Rewrite): Promise<void>;
  /** Writes down commits that the newest accepted rewrite of a branch left behind, and that nobody knew of then. */
  leaveBehind(repository: string, branch: string, commits: readonly Revision[]): Promise<void>;
  /** What receipts proved: it counts at once, and is written by a `save` when it is due. */
  note(rollouts: readonly RolloutRecord[], due: "now" | "soon"): void;
  /** Writes what is due, or all that is noted of these Applications. One commit for all of it. */
  save(applications?: ReadonlySet<ApplicationName>): Promise<void>;
  /** Puts a chart's digest on record, unless it has one. Gives what stands there then. */
  lockChart(chart: ChartRecord): Promise<ChartRecord>;
};

export function openRecords(
  source: { mirror: Mirror; fetch(): Promise<void> },
  signer: GitSigner,
  clock: Clock,
  log: Log,
): RecordStore {
  let current: Records = nothing;
  const pending = createPending(clock);
  const alone = serial();
  const loading = serial();
  const readRecords = recordReader(log);

  let remote: Revision | undefined;
  let taken: Revision | undefined;
  let alarm = "";

  /** One at a time, and each as a whole: who began earlier must not end with less than is known already. */
  const load = (): Promise<void> =>
    loading(async () => {
      const head = await source.mirror.head(recordBranch);
      const before = (await source.mirror.taken()).get(recordBranch);
      if (head === remote && before === taken && (current.commit !== "" || head === undefined)) return;
      const trusted = await trustedHead(source.mirror, signer.publicKey, head, before);
      if ((trusted ?? "") !== current.commit)
        current = trusted === undefined ? nothing : await readRecords(source.mirror, trusted);
      [remote, taken] = [head, before];
      const said = describeForeign(head, trusted);
      if (said !== alarm && said !== "") log.error({ head, trusted }, said);
      alarm = said;
    });

  /** Computes a change from what is there, pushes it, and computes it again when the branch has moved meanwhile. */
  const write = <Outcome>(
    compute: (records: Records) => { files: ReadonlyMap<string, string>; subject: string } | { done: Outcome },
    outcome: Outcome,
  ): Promise<Outcome> => {
    const work = async (): Promise<Outcome> => {
      for (let attempt = 1; ; attempt += 1) {
        await load();
        const change = compute(current);
        if ("done" in change) return change.done;
        const decision = randomUUID();
        const message = `${subjectBegin}${change.subject}\n\nPlumbline-Decision: ${decision}\n`;
        // What others put there ends with our next commit; it stays in the history, for people to look at.
        const content = current.commit === (remote ?? "") ? {} : { content: current.commit || ("nothing" as const) };
        const pushed = await source.mirror
          .commit(
            { branch: recordBranch, expect: remote, ...content, files: change.files, message },
            signer,
            clock.now(),
          )
          .catch((error: unknown) => ({ kind: "unknown" as const, because: reasonOf(error) }));
        if (pushed.kind === "pushed") {
          await load();
          return outcome;
        }
        if (pushed.kind === "declined") throw new Error(`the record was not written: ${pushed.because}`);
        if (attempt === pushTries)
          throw new Error(
            `the record was not written: ${"because" in pushed ? pushed.because : "its branch keeps moving"}`,
          );
        // Moved, or an outcome that is not known: what the remote has now decides, also about our own commit.
        await source.fetch();
        if (await holds(source.mirror, decision)) {
          await load();
          return outcome;
        }
      }
    };
    return alone(work);
  };

  return {
    now: () => pending.over(current),
    alarm: () => alarm,
    load,
    accept: (record) =>
      write<Recorded>(({ clusters }) => {
        if (clusters.has(record.cluster)) return { done: "taken" };
        const files = new Map([[clusterRecordPath(record.cluster), formatClusterRecord(record)]]);
        return { files, subject: `${record.cluster} joined` };
      }, "recorded"),
    revoke: (cluster, because) =>
      write<void>(({ clusters }) => {
        const known = clusters.get(cluster);
        if (known === undefined || known.revoked !== null) return { done: undefined };
        const revoked = { ...known, revoked: { atMs: clock.now(), because } };
        const files = new Map([[clusterRecordPath(cluster), formatClusterRecord(revoked)]]);
        return { files, subject: `${cluster} revoked` };
      }, undefined),
    acceptRewrite: (repository, rewrite) =>
      write<void>(({ rewrites }) => {
        const known = rewrites.find((record) => record.repository === repository) ?? { repository, accepted: [] };
        const newest = newestRewrite(known, rewrite.branch);
        if (newest?.from === rewrite.from && newest.to === rewrite.to) return { done: undefined };
        const files = new Map([[rewriteRecordPath(repository), formatRewriteRecord(withRewrite(known, rewrite))]]);
        return { files, subject: `${repository} ${rewrite.branch} goes on from ${rewrite.to.slice(0, 7)}` };
      }, undefined),
    leaveBehind: (repository, branch, commits) =>
      write<void>(({ rewrites }) => {
        const known = rewrites.find((record) => record.repository === repository);
        const changed = known && withDropped(known, branch, commits);
        if (changed === undefined) return { done: undefined };
        const files = new Map([[rewriteRecordPath(repository), formatRewriteRecord(changed)]]);
        return { files, subject: `${repository} ${branch} left more behind` };
      }, undefined),
    lockChart: (chart) =>
      write<ChartRecord>(({ charts }) => {
        const known = charts.get(chartKey(chart));
        if (known !== undefined) return { done: known };
        const files = new Map([[chartRecordPath(chart), formatChartRecord(chart)]]);
        return { files, subject: `chart ${chart.name} ${chart.version} of ${chart.repository}` };
      }, chart),
    note: (rollouts, due) => pending.note(rollouts, due === "now" ? 0 : soonMs),
    async save(applications) {
      const saved = pending.due(applications);
      if (saved.length === 0) return;
      await write<void>(({ rollouts }) => {
        const known = new Map(rollouts.map((rollout) => [keyOf(rollout), rollout]));
        const changed = saved.filter((rollout) => {
          const before = known.get(keyOf(rollout));
          return before === undefined || !sameRollout(before, rollout);
        });
        if (changed.length === 0) return { done: undefined };
        const files = new Map(changed.map((rollout) => [rolloutRecordPath(rollout), formatRolloutRecord(rollout)]));
        const names = changed.map(({ environment, application }) => `${environment}/${application}`);
        return {
          files,
          subject: `${names.slice(0, 3).join(", ")}${names.length > 3 ? ` and ${names.length - 3} more` : ""}`,
        };
      }, undefined);
      pending.written(saved);
    },
  };
}

/**
 * The newest commit that this hub wrote: nobody else decides, and a remote that went back, or lost the branch, takes back
 * no revocation.
 */
async function trustedHead(
  mirror: Mirror,
  publicKey: string,
  remote: Revision | undefined,
  taken: Revision | undefined,
): Promise<Revision | undefined> {
  const follows = remote !== undefined && (taken === undefined || (await mirror.isAncestor(taken, remote)));
  const from = follows ? remote : taken;
  const isWanted = (message: string): boolean => message.startsWith(subjectBegin);
  return from === undefined ? undefined : mirror.newestWanted(from, { publicKey, isWanted });
}

function describeForeign(remote: Revision | undefined, trusted: Revision | undefined): string {
  if (remote === trusted) return "";
  const ours = trusted === undefined ? "none of it is believed" : `${trusted.slice(0, 7)} is believed instead`;
  const is =
    remote === undefined ? "is gone from the remote" : `holds ${remote.slice(0, 7)}, which this hub did not write`;
  return `${recordBranch} ${is}: ${ours}, and the next record puts it back`;
}

async function holds(mirror: Mirror, decision: string): Promise<boolean> {
  const head = await mirror.head(recordBranch);
  if (head === undefined) return false;
  const recent = await mirror.log(head, 20);
  return recent.some(({ body }) => body.includes(`Plumbline-Decision: ${decision}`));
}
