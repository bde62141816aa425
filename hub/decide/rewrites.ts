import { parse, stringify } from "yaml";
import { z } from "zod";
import { revision, type Revision } from "#proto/ids.ts";
import { RecordProblem } from "./record.ts";

/** A person's word that a branch, or a tag as `refs/tags/NAME`, goes on from another history than before. */
export type Rewrite = {
  readonly branch: string;
  /** What it was taken at until then. */
  readonly from: Revision;
  /** What it goes on from; "" for a tag that is gone. */
  readonly to: Revision | "";
  /** Commits that were in use and that `to` does not follow from: their clusters are not taken for a new surprise. */
  readonly dropped: readonly Revision[];
  readonly by: string;
  readonly reason: string;
  readonly atMs: number;
};

/** Accepted rewrites of one repository, oldest first. */
export type RewriteRecord = { readonly repository: string; readonly accepted: readonly Rewrite[] };

/** Enough for a file that stays readable; what is older has been followed by many others. */
const keptRewrites = 100;
/** A fleet that runs more than this many revisions of one branch has other worries. */
export const keptDropped = 1_000;

const commit = z.string().transform(revision);
const schema = z.strictObject({
  apiVersion: z.literal("plumbline.dev/record/v1"),
  kind: z.literal("Rewrites"),
  repository: z.string().regex(/^[a-z0-9-]{1,63}$/),
  accepted: z.array(
    z.strictObject({
      branch: z.string(),
      from: commit,
      to: z.literal("").or(commit),
      dropped: z.array(commit),
      by: z.string(),
      reason: z.string(),
      atMs: z.int().nonnegative(),
    }),
  ),
});

export const rewriteRecordPath = (repository: string): string => `rewrites/${repository}.yaml`;

export const formatRewriteRecord = ({ repository, accepted }: RewriteRecord): string =>
  stringify(
    { apiVersion: "plumbline.dev/record/v1", kind: "Rewrites", repository, accepted },
    { lineWidth: 0, aliasDuplicateObjects: false },
  );

/** Throws RecordProblem; also when the file's name is not that of its content. */
export function parseRewriteRecord(path: string, text: string): RewriteRecord {
  try {
    const { repository, accepted } = schema.parse(parse(text));
    if (rewriteRecordPath(repository) !== path) throw new Error(`belongs at ${rewriteRecordPath(repository)}`);
    return { repository, accepted };
  } catch (cause) {
    const why = cause instanceof z.ZodError ? z.prettifyError(cause) : cause instanceof Error ? cause.message : "";
    throw new RecordProblem(`${path}: ${why}`, { cause });
  }
}

export function withRewrite(record: RewriteRecord, rewrite: Rewrite): RewriteRecord {
  return { ...record, accepted: [...record.accepted, rewrite].slice(-keptRewrites) };
}

/**
 * The newest word on a branch: an older one must not accept again what was since given up, should somebody push it once
 * more.
 */
export const newestRewrite = (record: RewriteRecord | undefined, branch: string): Rewrite | undefined =>
  record?.accepted.findLast((rewrite) => rewrite.branch === branch);

/** Commits of a branch that people know to be left behind. */
export const leftBehind = (record: RewriteRecord | undefined, branch: string): ReadonlySet<Revision> =>
  new Set(
    (record?.accepted ?? [])
      .filter((rewrite) => rewrite.branch === branch)
      .flatMap(({ from, dropped }) => [from, ...dropped]),
  );

/**
 * The record, with commits that came to light after the newest word on a branch and were in use before it: the same word
 * left them behind. Undefined when it says so already, or is full.
 */
export function withDropped(
  record: RewriteRecord,
  branch: string,
  commits: readonly Revision[],
): RewriteRecord | undefined {
  const newest = newestRewrite(record, branch);
  if (newest === undefined) return undefined;
  const past = leftBehind(record, branch);
  const more = commits.filter((commit) => !past.has(commit)).slice(0, keptDropped - newest.dropped.length);
  if (more.length === 0) return undefined;
  const known = { ...newest, dropped: [...newest.dropped, ...more] };
  return { ...record, accepted: record.accepted.map((rewrite) => (rewrite === newest ? known : rewrite)) };
}
