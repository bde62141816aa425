import { parse, stringify } from "yaml";
import { z } from "zod";
import { RecordProblem } from "./record.ts";

/** What the hub saw when it first fetched a chart under a version: the same version never means anything else. */
export type ChartRecord = {
  /** Name of the Repository. */
  readonly repository: string;
  readonly name: string;
  readonly version: string;
  /** Of the archive: `sha256:` and hex. */
  readonly digest: string;
  /** Where it came from, for people. */
  readonly url: string;
};

const apiVersion = "plumbline.dev/record/v1";
const schema = z.strictObject({
  apiVersion: z.literal(apiVersion),
  kind: z.literal("Chart"),
  repository: z.string(),
  name: z.string(),
  version: z.string(),
  digest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  url: z.string(),
});

export const chartKey = ({ repository, name, version }: Omit<ChartRecord, "digest" | "url">): string =>
  `${repository}/${name}/${version}`;
export const chartRecordPath = (record: Omit<ChartRecord, "digest" | "url">): string =>
  `charts/${chartKey(record)}.yaml`;

export const formatChartRecord = ({ repository, name, version, digest, url }: ChartRecord): string =>
  stringify({ apiVersion, kind: "Chart", repository, name, version, digest, url }, { lineWidth: 0 });

/** Throws RecordProblem; also when the file's name is not that of its content. */
export function parseChartRecord(path: string, text: string): ChartRecord {
  const parsed = schema.safeParse(parse(text));
  if (!parsed.success) throw new RecordProblem(`${path}: ${z.prettifyError(parsed.error)}`);
  const { apiVersion: _v, kind: _k, ...record } = parsed.data;
  if (chartRecordPath(record) !== path) throw new RecordProblem(`${path}: belongs at ${chartRecordPath(record)}`);
  return record;
}
