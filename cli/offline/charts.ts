import { readFile } from "node:fs/promises";
import { posix } from "node:path";
import { download } from "#cli/client.ts";
import type { OfflineConfig } from "#cli/config.ts";
import { CliError, usage } from "#cli/errors.ts";
import { publishedFrom } from "#hub/charts/charts.ts";
import type { DeclaredChart } from "#hub/fleet/kinds/chart.ts";
import { openCheckout, type Files } from "#hub/git/checkout.ts";
import type { FilesUnder } from "#hub/render/gather.ts";
import type { ChartSource } from "#hub/render/helm.ts";
import { unpackChartFiles } from "#proto/chart-files.ts";
import { sha256Hex } from "#proto/json.ts";

type Opened = ChartSource & { /** For people. */ readonly from: string };

/** Opens a chart that lies elsewhere than in its Application's folder; `own` are the files of the Application's repository. */
export type OpenChart = (chart: DeclaredChart, own: Files) => Promise<Opened>;

type Elsewhere = DeclaredChart & { readonly repository: string };

/** Not in the Application's own repository, of which a checkout is at hand. */
export const isElsewhere = (chart: DeclaredChart): chart is Elsewhere => chart.repository !== null;

export const labelOf = (chart: Elsewhere): string =>
  chart.from === "archive"
    ? `${chart.name} ${chart.version} of ${chart.repository}`
    : `${chart.path} of ${chart.repository} at ${chart.revision!.slice(0, 7)}`;

/** Charts from a copy that somebody names, or from the hub, which alone fetches them. */
export const chartsElsewhere =
  (config: OfflineConfig, copy?: string): OpenChart =>
  async (chart, own) => {
    if (!isElsewhere(chart)) return inFolder(chart.path, (folder) => own.contents(folder), chart.path);
    if (copy === undefined) return fromHub(config, chart);
    return chart.from === "archive" ? fromArchive(copy, chart) : fromCheckout(copy, chart, config.searchPath);
  };

const inFolder = (path: string, filesUnder: FilesUnder, from: string): Opened => {
  const folder = posix.normalize(path).replace(/\/+$/, "");
  return { kind: "folder", folder: folder === "." ? "" : folder, filesUnder, from };
};

async function fromHub(config: OfflineConfig, chart: Elsewhere): Promise<Opened> {
  const { from: _from, ...fields } = chart;
  const query = new URLSearchParams(Object.entries(fields).filter(([, value]) => value !== null) as [string, string][]);
  const packed = await download(config, `/api/v1/charts?${query.toString()}`).catch((error: unknown) => {
    if (!(error instanceof CliError)) throw error;
    const copy = chart.from === "archive" ? "its archive (helm pull)" : `a checkout of ${chart.repository}`;
    throw new CliError(
      error.code,
      `the chart ${labelOf(chart)} lies elsewhere, and only the hub fetches it: ${error.message}`,
      `name the hub by --hub and yourself by --token-file, or ${copy} by --chart`,
    );
  });
  const { from, files } = unpackChartFiles(packed);
  if (chart.from === "archive")
    return { kind: "archive", name: chart.name, bytes: () => Promise.resolve(files[0]!.bytes), from };
  const within = (folder: string) => files.map((file) => ({ ...file, path: posix.join(folder, file.path) }));
  return inFolder(chart.path, (folder) => Promise.resolve(within(folder)), from);
}

async function fromArchive(path: string, chart: Elsewhere & { readonly from: "archive" }): Promise<Opened> {
  const bytes = await readFile(path).catch(() => {
    throw usage(`--chart: ${path} is no file that can be read: name the archive of ${labelOf(chart)}`);
  });
  const digest = `sha256:${sha256Hex(bytes)}`;
  if (chart.digest !== null && digest !== chart.digest)
    throw usage(`--chart: ${path} is ${digest}, and spec.source.helm.chart.digest says ${chart.digest}`);
  const from = `${publishedFrom(chart, { digest, bytes })}, from ${path}`;
  return { kind: "archive", name: chart.name, bytes: () => Promise.resolve(bytes), from };
}

/** At the commit that the Application names, whatever is checked out there. */
async function fromCheckout(
  path: string,
  chart: Elsewhere & { readonly from: "git" },
  searchPath: string,
): Promise<Opened> {
  const checkout = await openCheckout(path, searchPath).catch(() => {
    throw usage(`--chart: ${path} is no checkout: name one of the Git repository ${chart.repository}`);
  });
  const commit = await checkout.resolve(chart.revision!);
  if (commit === undefined)
    throw usage(`--chart: ${path} has no commit ${chart.revision}: name a checkout of ${chart.repository} that has`);
  return inFolder(chart.path, (folder) => checkout.at(commit).contents(folder), `${labelOf(chart)}, from ${path}`);
}
