import { posix } from "node:path";
import type { Outcome } from "#hub/api/actions.ts";
import { publishedFrom, type Charts } from "#hub/charts/charts.ts";
import { ChartUnavailable } from "#hub/charts/download.ts";
import type { Fleet } from "#hub/fleet/fleet.ts";
import type { DeclaredChart } from "#hub/fleet/kinds/chart.ts";
import { GitFailed } from "#hub/git/command.ts";
import { ContentRefused } from "#hub/git/contents.ts";
import type { Source } from "#hub/loop/sources.ts";
import { atMost } from "#lib/at-most.ts";
import { reasonOf } from "#lib/log.ts";
import type { ChartFiles } from "#proto/chart-files.ts";
import { revision } from "#proto/ids.ts";

export type ShownCharts = (chart: DeclaredChart) => Promise<Outcome<{ readonly chart: ChartFiles }>>;

type Parts = {
  readonly fleet: () => Fleet;
  /** A followed Git repository by its name. */
  readonly repository: (name: string) => Source | undefined;
  readonly charts: Pick<Charts, "look">;
};

/** Each holds a whole chart; people's questions must not take what the fleet's own renderings need. */
const atOnce = 1;

/**
 * Gives people the charts that only the hub may fetch, so that they can render before they push. Only charts that an Application
 * of the fleet names already, whatever their version: nobody reads the rest of a repository by the hub's credentials.
 */
export function createShownCharts({ fleet, repository, charts }: Parts): ShownCharts {
  const limited = atMost(atOnce);
  const folderOf = async (chart: DeclaredChart & { readonly from: "git" }): Promise<ChartFiles> => {
    const source = repository(chart.repository!);
    if (source === undefined) throw new ChartUnavailable(`the Git repository ${chart.repository} is not followed`);
    const commit = revision(chart.revision!);
    const folder = chart.path === "." ? "" : chart.path.replace(/\/+$/, "");
    const files = await source.mirror.contents(commit, folder);
    const from = `${chart.path} of ${chart.repository} at ${commit.slice(0, 7)}`;
    const below = files.map(({ path, bytes }) => ({ path: posix.relative(folder, path), bytes }));
    return { from, files: below };
  };
  return async (chart) => {
    if (chart.repository === null)
      return refused(400, "a chart of the Application's own repository lies in its checkout", "");
    if (![...fleet().applications.values()].some(({ source }) => isOfSame(source.helm.chart, chart)))
      return refused(
        404,
        `no Application of the fleet uses ${labelOf(chart)}`,
        "push an Application that does, or name a copy of the chart by --chart",
      );
    try {
      const found = await limited(async (): Promise<ChartFiles> => {
        if (chart.from === "git") return folderOf(chart);
        const archive = await charts.look(chart);
        const files = [{ path: `${chart.name}.tgz`, bytes: archive.bytes }];
        return { from: publishedFrom(chart, archive), files };
      });
      return { ok: true, chart: found };
    } catch (error) {
      if (![ChartUnavailable, ContentRefused, GitFailed].some((kind) => error instanceof kind)) throw error;
      return refused(422, reasonOf(error), "look at spec.source.helm.chart");
    }
  };
}

/** Of another version, perhaps: the one that somebody is about to write. */
const isOfSame = (declared: DeclaredChart | null, chart: DeclaredChart): boolean =>
  declared?.from === chart.from && declared.repository === chart.repository && nameOf(declared) === nameOf(chart);

const nameOf = (chart: DeclaredChart): string => (chart.from === "git" ? chart.path.replace(/\/+$/, "") : chart.name);
const labelOf = (chart: DeclaredChart): string => `${nameOf(chart)} of ${chart.repository}`;

const refused = (status: 400 | 404 | 422, message: string, advice: string) =>
  ({ ok: false, status, message, advice }) as const;
