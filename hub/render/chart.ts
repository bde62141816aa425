import { posix } from "node:path";
import { readKubeYaml } from "#hub/render/kube-yaml.ts";
import type { ManifestFile } from "#hub/render/objects.ts";
import { RenderRefused } from "#hub/render/render-problem.ts";
import type { Json, JsonObject } from "#proto/object.ts";

/** Far more than any Chart.yaml; it is read on the thread that serves agents. */
const maxBytes = 128 * 1024;

/**
 * Refuses a chart that Helm would want to fetch something for: every dependency must lie in its `charts/`, also one that
 * the values disable (Helm's own rule).
 */
export function checkChart(folder: string, files: readonly ManifestFile[]): void {
  const path = posix.join(folder, "Chart.yaml");
  const chart = files.find((file) => file.path === path);
  if (chart === undefined) throw new RenderRefused(`${folder || "."} is rendered by helm and has no Chart.yaml`);
  const vendored = vendoredCharts(folder, files);
  for (const [n, dependency] of listOf(fieldsOf(chart)["dependencies"]).entries()) {
    if (!isMapping(dependency) || typeof dependency["name"] !== "string") continue;
    const { name } = dependency;
    // An archive is called NAME-VERSION.tgz; what is in it, Helm reads.
    if (vendored.names.has(name) || vendored.archives.some((archive) => archive.startsWith(`${name}-`))) continue;
    throw new RenderRefused(
      `${path}: dependencies[${n}]: ${name} is not in ${posix.join(folder, "charts")}: the hub fetches no dependency of a chart; run helm dependency build there and commit its charts folder`,
    );
  }
}

function vendoredCharts(
  folder: string,
  files: readonly ManifestFile[],
): { names: Set<Json | undefined>; archives: string[] } {
  const charts = `${posix.join(folder, "charts")}/`;
  const inside = files.filter(({ path }) => path.startsWith(charts));
  const named = inside.filter(({ path }) => /^[^/]+\/Chart\.yaml$/.test(path.slice(charts.length)));
  return {
    names: new Set(named.map((file) => fieldsOf(file)["name"])),
    archives: inside.map(({ path }) => path.slice(charts.length)).filter((name) => /^[^/]+\.tgz$/.test(name)),
  };
}

function fieldsOf({ path, bytes }: ManifestFile): JsonObject {
  if (bytes.length > maxBytes) throw new RenderRefused(`${path} is ${bytes.length} bytes, at most 128 KiB are read`);
  const value = readKubeYaml(path, bytes)[0]?.value;
  if (!isMapping(value)) throw new RenderRefused(`${path}: must be a mapping`);
  return value;
}

const listOf = (value: Json | undefined): Json[] => (Array.isArray(value) ? value : []);
const isMapping = (value: Json | undefined): value is JsonObject =>
  value !== null && typeof value === "object" && !Array.isArray(value);
