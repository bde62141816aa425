import { posix } from "node:path";
import { checkChart } from "#hub/render/chart.ts";
import type { FilesUnder } from "#hub/render/gather.ts";
import type { ManifestFile } from "#hub/render/objects.ts";
import { RenderRefused } from "#hub/render/render-problem.ts";
import type { Tools } from "#hub/render/tools.ts";
import { inWorkplace } from "#hub/render/workplace.ts";
import type { JsonObject } from "#proto/object.ts";

/** What a chart is rendered with: everything comes from Git, nothing from a cluster. */
export type HelmInputs = {
  readonly release: string;
  readonly namespace: string;
  /** Files in or below the chart's folder, relative to it; later ones win. */
  readonly valuesFiles: readonly string[];
  /** Laid over the files. */
  readonly values: JsonObject;
  /** As the Environment declares it. */
  readonly kubernetes: { readonly version?: string | undefined; readonly apis: readonly string[] };
};

/** For an Environment that declares none. A fixed one: a newer Helm must not change what an older one gave. */
export const defaultKubernetes = "1.36";

/** Beside the chart, where no file of a commit can be. */
const chartFolder = "chart";
const inlineValues = "values.json";
// Under names of ours: Helm would cut a path at its commas.
const valuesFile = (n: number): string => `values-${n}.yaml`;

/**
 * `helm template` of a chart at a commit, with its CRDs and without its tests: as many renderings as wanted, at once. A
 * rendering is one file for each template, named after it.
 */
export async function templateChart(
  tools: Tools,
  folder: string,
  filesUnder: FilesUnder,
  inputs: HelmInputs,
  options: { readonly renderings: number; readonly signal?: AbortSignal | undefined },
): Promise<ManifestFile[][]> {
  const files = await filesUnder(folder);
  checkChart(folder, files);
  const byPath = new Map(files.map((file) => [file.path, file]));
  const valuesFiles = inputs.valuesFiles.map((name, n) => {
    const file = byPath.get(posix.join(folder, name));
    if (file !== undefined) return { path: valuesFile(n), bytes: file.bytes };
    throw new RenderRefused(`spec.source.helm.valuesFiles[${n}]: ${posix.join(folder, name)} is not in this commit`);
  });
  const placed = files.map(({ path, bytes }) => ({ path: `${chartFolder}/${posix.relative(folder, path)}`, bytes }));
  const values = { path: inlineValues, bytes: Buffer.from(JSON.stringify(inputs.values)) };
  return await inWorkplace([...placed, ...valuesFiles, values], async (root) => {
    const render = async () =>
      perTemplate(folder, await tools.run("helm", templateArguments(inputs), root, options.signal));
    return await Promise.all(Array.from({ length: options.renderings }, render));
  });
}

const templateArguments = ({ release, namespace, valuesFiles, kubernetes }: HelmInputs): string[] => [
  "template",
  release,
  chartFolder,
  `--namespace=${namespace}`,
  "--include-crds",
  "--skip-tests",
  `--kube-version=${kubernetes.version ?? defaultKubernetes}`,
  ...kubernetes.apis.map((api) => `--api-versions=${api}`),
  ...valuesFiles.map((_, n) => `--values=${valuesFile(n)}`),
  `--values=${inlineValues}`,
];

/** Helm writes where each document comes from, so an error can name the template. */
function perTemplate(folder: string, output: Buffer): ManifestFile[] {
  return output
    .toString("utf8")
    .split(/^---\n(?=# Source: )/m)
    .filter((text) => text.trim() !== "")
    .map((text) => {
      const source = /^# Source: [^/\n]+\/(.*)\n/.exec(text)?.[1];
      return {
        path: source === undefined ? `helm template ${folder || "."}` : `${posix.join(folder, source)} (rendered)`,
        bytes: Buffer.from(text),
      };
    });
}
