import { parse, stringify } from "yaml";
import { z } from "zod";
import type { EntryKey } from "#proto/desired-state.ts";
import { applicationName, clusterId, environmentName, revision, type ClusterId, type Revision } from "#proto/ids.ts";

/** What the hub decided for one Application in one Environment. Oldest first. */
export type RolloutRecord = EntryKey & {
  /** Proved here by receipts: environments that are promoted from this one may take them. */
  readonly qualified: readonly Revision[];
  /** Ran whole here: a Promotion back to one of them is a rollback and passes the gates. */
  readonly completed: readonly Revision[];
};

/** The keys of one enrolled cluster. A signature of the CA proves nothing without this. */
export type ClusterRecord = {
  readonly cluster: ClusterId;
  /** SubjectPublicKeyInfo of the TLS key, DER in base64. */
  readonly spki: string;
  readonly nkey: string;
  /** Raw X25519 public key, base64. */
  readonly sealingKey: string;
  /** The join token that was used up. */
  readonly jti: string;
  readonly acceptedBy: string;
  readonly acceptedAtMs: number;
  readonly revoked: { readonly atMs: number; readonly because: string } | null;
};

/** A record file that is not what the hub writes. The message names the file. */
export class RecordProblem extends Error {
  override readonly name = "RecordProblem";
}

/** Revisions kept a list: enough to roll back to, and a file that stays readable. */
export const keptRevisions = 50;

const apiVersion = "plumbline.dev/record/v1";
const rolloutSchema = z.strictObject({
  apiVersion: z.literal(apiVersion),
  kind: z.literal("Rollout"),
  environment: z.string().transform(environmentName),
  application: z.string().transform(applicationName),
  qualified: z.array(z.string().transform(revision)),
  completed: z.array(z.string().transform(revision)),
});
const clusterSchema = z.strictObject({
  apiVersion: z.literal(apiVersion),
  kind: z.literal("Cluster"),
  cluster: z.string().transform(clusterId),
  spki: z.base64().min(1),
  nkey: z.string().regex(/^U[A-Z2-7]{55}$/),
  sealingKey: z.base64().length(44),
  jti: z.string().min(1),
  acceptedBy: z.string(),
  acceptedAtMs: z.int().nonnegative(),
  revoked: z.strictObject({ atMs: z.int(), because: z.string() }).nullable(),
});

export const sameRollout = (a: RolloutRecord, b: RolloutRecord): boolean =>
  a.qualified.join() === b.qualified.join() && a.completed.join() === b.completed.join();

export const rolloutRecordPath = (key: EntryKey): string => `record/${key.environment}/${key.application}.yaml`;
export const clusterRecordPath = (cluster: ClusterId): string => `clusters/${cluster}.yaml`;

export const formatRolloutRecord = ({ environment, application, qualified, completed }: RolloutRecord): string =>
  stringify(
    { apiVersion, kind: "Rollout", environment, application, qualified, completed },
    { aliasDuplicateObjects: false },
  );

export const formatClusterRecord = (record: ClusterRecord): string =>
  stringify({ apiVersion, kind: "Cluster", ...record }, { lineWidth: 0, aliasDuplicateObjects: false });

/** Throws RecordProblem; also when the file's name is not that of its content. */
export function parseRolloutRecord(path: string, text: string): RolloutRecord {
  const { apiVersion: _v, kind: _k, ...record } = read(path, text, rolloutSchema);
  if (rolloutRecordPath(record) !== path) throw new RecordProblem(`${path}: belongs at ${rolloutRecordPath(record)}`);
  return record;
}

/** Throws RecordProblem; also when the file's name is not that of its content. */
export function parseClusterRecord(path: string, text: string): ClusterRecord {
  const { apiVersion: _v, kind: _k, ...record } = read(path, text, clusterSchema);
  if (clusterRecordPath(record.cluster) !== path)
    throw new RecordProblem(`${path}: belongs at ${clusterRecordPath(record.cluster)}`);
  return record;
}

function read<Value>(path: string, text: string, schema: z.ZodType<Value>): Value {
  try {
    return schema.parse(parse(text));
  } catch (cause) {
    const why = cause instanceof z.ZodError ? z.prettifyError(cause) : String(cause);
    throw new RecordProblem(`${path}: ${why}`, { cause });
  }
}
