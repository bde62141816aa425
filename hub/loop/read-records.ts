import { setImmediate } from "node:timers/promises";
import { chartKey, parseChartRecord, type ChartRecord } from "#hub/decide/chart-record.ts";
import { parseClusterRecord, parseRolloutRecord, type ClusterRecord, type RolloutRecord } from "#hub/decide/record.ts";
import { parseRewriteRecord, type RewriteRecord } from "#hub/decide/rewrites.ts";
import { recordLimits, type TreeFile } from "#hub/git/contents.ts";
import type { Mirror } from "#hub/git/mirror.ts";
import type { Records } from "#hub/loop/records.ts";
import { reasonOf, type Log } from "#lib/log.ts";
import type { ClusterId, Revision } from "#proto/ids.ts";

/** Files parsed before others get their turn: each takes a fifth of a millisecond. */
const parsedAtOnce = 40;

/** Reads one commit after the other; of each, only the files that the one before did not have. */
export function recordReader(log: Log): (mirror: Mirror, commit: Revision) => Promise<Records> {
  const leaveOut = (because: string): void =>
    log.error({ because }, "the record holds what no hub wrote; it is ignored");
  let known = new Map<string, ReadFile>();
  return async (mirror, commit) => {
    const files = await mirror.list(commit, "", leaveOut, recordLimits);
    const isKnown = ({ path, object }: TreeFile): boolean => known.get(path)?.object === object;
    const parsed = await parseFiles(
      mirror,
      files.filter((file) => !isKnown(file)),
      log,
    );
    const read = files.map((file): [string, ReadFile] => {
      const { path, object } = file;
      return [path, isKnown(file) ? known.get(path)! : { object, record: parsed.get(path) }];
    });
    known = new Map(read);
    return together(
      commit,
      read.flatMap(([, { record }]) => record ?? []),
    );
  };
}

async function parseFiles(
  mirror: Mirror,
  files: readonly TreeFile[],
  log: Log,
): Promise<Map<string, RecordFile | undefined>> {
  const parsed = new Map<string, RecordFile | undefined>();
  for (const { path, bytes } of await mirror.readAll(files)) {
    parsed.set(path, parseFile(path, bytes, log));
    if (parsed.size % parsedAtOnce === 0) await setImmediate();
  }
  return parsed;
}

type RecordFile =
  | { readonly kind: "cluster"; readonly value: ClusterRecord }
  | { readonly kind: "rollout"; readonly value: RolloutRecord }
  | { readonly kind: "rewrite"; readonly value: RewriteRecord }
  | { readonly kind: "chart"; readonly value: ChartRecord };
type ReadFile = { readonly object: string; readonly record: RecordFile | undefined };

function parseFile(path: string, bytes: Buffer, log: Log): RecordFile | undefined {
  const text = bytes.toString("utf8");
  try {
    if (path.startsWith("clusters/")) return { kind: "cluster", value: parseClusterRecord(path, text) };
    if (path.startsWith("record/")) return { kind: "rollout", value: parseRolloutRecord(path, text) };
    if (path.startsWith("rewrites/")) return { kind: "rewrite", value: parseRewriteRecord(path, text) };
    if (path.startsWith("charts/")) return { kind: "chart", value: parseChartRecord(path, text) };
  } catch (error) {
    log.error({ path, because: reasonOf(error) }, "a record file cannot be read; what it spoke of is held");
  }
  return undefined;
}

function together(commit: Revision, files: readonly RecordFile[]): Records {
  const clusters = new Map<ClusterId, ClusterRecord>();
  const rollouts: RolloutRecord[] = [];
  const rewrites: RewriteRecord[] = [];
  const charts = new Map<string, ChartRecord>();
  for (const { kind, value } of files)
    if (kind === "cluster") clusters.set(value.cluster, value);
    else if (kind === "rollout") rollouts.push(value);
    else if (kind === "rewrite") rewrites.push(value);
    else charts.set(chartKey(value), value);
  return { commit, clusters, rollouts, rewrites, charts };
}
