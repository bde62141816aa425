import { copyFile, mkdtemp, writeFile } from "node:fs/promises";
import { join, posix, relative } from "node:path";
import { checkChart } from "#hub/render/chart.ts";
import type { FilesUnder } from "#hub/render/gather.ts";
import type { ManifestFile } from "#hub/render/objects.ts";
import { RenderRefused, reworded } from "#hub/render/render-problem.ts";
import type { Tools } from "#hub/render/tools.ts";
import { openWorkplace, type Workplace } from "#hub/render/workplace.ts";
import type { JsonObject } from "#proto/object.ts";

/** What a chart is rendered with: everything comes from Git, nothing from a cluster. */
export type HelmInputs = {
  readonly release: string;
  readonly namespace: string;
  /** Relative to the Application's folder; later ones win. */
  readonly valuesFiles: readonly string[];
  /** Laid over the files. */
  readonly values: JsonObject;
  /** As the Environment declares it. */
  readonly kubernetes: { readonly version?: string | undefined; readonly apis: readonly string[] };
};

/** Where a chart lies once it is at hand: a folder of a commit, or the archive that was published. */
export type ChartSource =
  | { readonly kind: "folder"; readonly folder: string; readonly filesUnder: FilesUnder }
  | { readonly kind: "archive"; readonly name: string; readonly bytes: () => Promise<Uint8Array> };

/** A chart in a folder where Helm can read it, for as many renderings as are wanted. */
export type PlacedChart = Workplace & {
  /** In the workplace. */ readonly path: string;
  /** For messages. */ readonly label: string;
};

/** For an Environment that declares none. A fixed one: a newer Helm must not change what an older one gave. */
export const defaultKubernetes = "1.36";

const inlineValues = "values.json";
// Under names of ours: Helm would cut a path at its commas.
const valuesName = (n: number): string => `values-${n}.yaml`;

/** Throws RenderRefused for what is no chart, or misses a dependency. */
export async function placeChart(source: ChartSource): Promise<PlacedChart> {
  if (source.kind === "archive") {
    // Helm opens the archive itself, behind the fence.
    const path = `${source.name}.tgz`;
    return { ...(await openWorkplace([{ path, bytes: await source.bytes() }])), path, label: source.name };
  }
  const { folder, filesUnder } = source;
  const files = await filesUnder(folder);
  checkChart(folder, files);
  const path = "chart";
  const placed = files.map((file) => ({ path: `${path}/${posix.relative(folder, file.path)}`, bytes: file.bytes }));
  return { ...(await openWorkplace(placed)), path, label: folder };
}

/** The content of a values file by its path below the Application's folder; undefined: take it from the chart's own folder. */
export type ValuesFiles = {
  readonly folder: string;
  readonly read?: (path: string) => Promise<Uint8Array | undefined>;
};

/**
 * `helm template` of a chart, with its CRDs and without its tests: as many renderings as wanted, at once. Each is what Helm
 * wrote, for `perTemplate`.
 */
export async function templateChart(
  tools: Tools,
  chart: PlacedChart,
  files: ValuesFiles,
  inputs: HelmInputs,
  options: { readonly renderings: number; readonly signal?: AbortSignal | undefined },
): Promise<ManifestFile[]> {
  const root = chart.folder;
  const own = await mkdtemp(join(root, "values-"));
  for (const [n, name] of inputs.valuesFiles.entries())
    await placeValues(join(own, valuesName(n)), chart, files, name).catch((cause: unknown) => {
      // Which of the folders that we made has no such file helps nobody.
      if (!noFile.has((cause as NodeJS.ErrnoException).code ?? "")) throw cause;
      const shown = posix.join(files.folder, name);
      throw new RenderRefused(`spec.source.helm.valuesFiles[${n}]: ${shown} is not in this commit, or is no file`);
    });
  await writeFile(join(own, inlineValues), JSON.stringify(inputs.values), { mode: 0o600 });
  const within = relative(root, own);
  const render = async (): Promise<ManifestFile> => {
    try {
      const bytes = await tools.run("helm", templateArguments(chart.path, within, inputs), root, options.signal);
      return { path: chart.label, bytes };
    } catch (error) {
      if (!(error instanceof RenderRefused)) throw error;
      throw reworded(error, inTheirWords(error.message, within, files.folder, inputs));
    }
  };
  return await Promise.all(Array.from({ length: options.renderings }, render));
}

/** Not there, a folder, below a file, or a name that no file system takes. */
const noFile: ReadonlySet<string> = new Set(["ENOENT", "EISDIR", "ENOTDIR", "ENAMETOOLONG"]);

async function placeValues(to: string, chart: PlacedChart, files: ValuesFiles, name: string): Promise<void> {
  if (files.read === undefined) return copyFile(join(chart.folder, chart.path, name), to);
  const bytes = await files.read(posix.join(files.folder, name));
  if (bytes === undefined) throw Object.assign(new Error(`${name} is not there`), { code: "ENOENT" });
  return writeFile(to, bytes, { mode: 0o600 });
}

/** People know their files by the names in Git. */
const inTheirWords = (complaint: string, within: string, folder: string, { valuesFiles }: HelmInputs): string =>
  valuesFiles
    .reduce(
      (text, name, n) => text.replaceAll(`${within}/${valuesName(n)}`, posix.join(folder, name)),
      complaint.replaceAll(`${within}/${inlineValues}`, "spec.source.helm.values"),
    )
    // All that Helm says of it.
    .replace(/unable to load chart archive$/, (said) => `${said}: ${badArchive}`)
    .trim();

const badArchive =
  "it holds a file outside of the chart's folder, or more than Helm unpacks (5 MiB a file, 100 MiB in all), or is damaged";

const templateArguments = (
  chart: string,
  within: string,
  { release, namespace, valuesFiles, kubernetes }: HelmInputs,
): string[] => [
  "template",
  release,
  chart,
  `--namespace=${namespace}`,
  "--include-crds",
  "--skip-tests",
  `--kube-version=${kubernetes.version ?? defaultKubernetes}`,
  ...kubernetes.apis.map((api) => `--api-versions=${api}`),
  ...valuesFiles.map((_, n) => `--values=${within}/${valuesName(n)}`),
  `--values=${within}/${inlineValues}`,
];
