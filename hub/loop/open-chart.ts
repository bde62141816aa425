import { ChartUnavailable } from "#hub/charts/download.ts";
import { publishedFrom, type Charts } from "#hub/charts/charts.ts";
import type { Job } from "#hub/loop/render-job.ts";
import type { Source } from "#hub/loop/sources.ts";
import type { FilesUnder } from "#hub/render/gather.ts";
import type { Wanted } from "#hub/render/manifests.ts";
import { revision } from "#proto/ids.ts";

export type OpenedChart = {
  /** Given how the Application's own commit is read. */
  readonly source: (own: FilesUnder) => Wanted["helm"]["chart"];
  /** Tells it from every other. */
  readonly key: string;
};

type Parts = {
  /** `open` puts what is new on record, `look` does not. */
  readonly openPublished: Charts["open"] | undefined;
  readonly repository: ((name: string) => Source | undefined) | undefined;
};

/** The digest of a published chart, as far as it is known without asking anybody. */
export const pinOf = ({ chart }: Job, charts: Charts | undefined): string | undefined =>
  chart?.from === "archive" ? charts?.pin(chart) : undefined;

/** The chart from elsewhere that a job names; undefined for one in its own folder. Throws ChartUnavailable. */
export async function openChart({ chart, source, target }: Job, parts: Parts): Promise<OpenedChart | undefined> {
  if (chart === null) return undefined;
  if (chart.from === "archive") {
    const opened = await parts.openPublished?.(chart);
    if (opened === undefined) throw new ChartUnavailable("published charts are not fetched here");
    const { digest, bytes } = opened;
    const from = publishedFrom(chart, opened);
    return {
      source: () => ({ kind: "archive", name: chart.name, bytes: () => Promise.resolve(bytes), from }),
      key: digest,
    };
  }
  const { path, repository } = chart;
  const at = repository === null ? source : parts.repository?.(repository);
  if (at === undefined) throw new ChartUnavailable(`the Git repository ${repository} is not followed`);
  const commit = chart.revision === null ? target.revision : revision(chart.revision);
  if ((await at.mirror.resolve(commit)) === undefined)
    throw new ChartUnavailable(
      `${commit} of ${repository ?? "its own repository"} has not been fetched, or is no commit of it`,
    );
  const folder = path === "." ? "" : path.replace(/\/+$/, "");
  const from = repository === null ? path : `${path} of ${repository} at ${commit.slice(0, 7)}`;
  const elsewhere: FilesUnder = (folder) => at.mirror.contents(commit, folder);
  return {
    source: (own) => ({ kind: "folder", folder, filesUnder: repository === null ? own : elsewhere, from }),
    key: [at.url, commit, folder].join("\n"),
  };
}
