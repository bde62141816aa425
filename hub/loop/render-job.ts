import { createHash } from "node:crypto";
import type { Fleet } from "#hub/fleet/fleet.ts";
import { substitute, type Parameters } from "#hub/fleet/select.ts";
import { substituteValues } from "#hub/fleet/substitute-values.ts";
import type { Outcome, Target } from "#hub/decide/inputs.ts";
import type { Source } from "#hub/loop/sources.ts";
import type { Wanted } from "#hub/render/manifests.ts";
import { canonicalJson } from "#proto/json.ts";
import type { JsonObject } from "#proto/object.ts";

/** What a target's rendering depends on, its parameters filled in. Equal keys are one rendering. */
export type Job = {
  readonly key: string;
  /** Of one folder at one commit, whatever the values. */
  readonly chartKey: string;
  readonly source: Source;
  readonly wanted: Omit<Wanted, "filesUnder" | "isFirst" | "signal">;
};

/** Undefined while its Application, Cluster or repository is not known; the reason when a parameter is missing. */
export function jobOf(
  target: Target,
  fleet: Fleet,
  source: Source | undefined,
  version: string,
): Job | Outcome | undefined {
  const application = fleet.applications.get(target.application);
  const cluster = fleet.clusters.get(target.cluster);
  if (application === undefined || cluster === undefined || source === undefined) return undefined;
  const parameters = { environment: target.environment, cluster: { name: target.cluster, labels: cluster.labels } };
  const { namespace } = application;
  const { path, render } = application.source;
  const folder = substitute(path, parameters);
  if (!folder.ok) return { ok: false, because: folder.problem };
  const helm = helmOf(application.source.helm, parameters);
  if (!helm.ok) return { ok: false, because: helm.because };
  const declared = fleet.environments.get(target.environment)?.kubernetes;
  const kubernetes = { version: declared?.version, apis: declared?.apis ?? [] };
  const chartKey = [source.url, target.revision, folder.text, version].join("\n");
  // Only a chart can tell the Application's name, the values and what the Environment declares.
  const isChart = render === "helm" || render === "auto";
  const inputs = { ...helm.inputs, apis: [...kubernetes.apis], version: kubernetes.version ?? null };
  const chart = isChart ? [target.application, digestOf(inputs)] : [];
  const key = [chartKey, namespace, render, ...chart].join("\n");
  const trimmed = folder.text.replace(/\/+$/, "");
  const wanted = {
    application: target.application,
    namespace,
    folder: trimmed === "." ? "" : trimmed,
    render,
    helm: { ...helm.inputs, kubernetes },
  };
  return { key, chartKey, source, wanted };
}

type HelmSource = {
  values: JsonObject;
  valuesFiles: readonly string[];
  once: readonly { kind: string; name: string }[];
};
type FilledHelm =
  | { ok: true; inputs: { values: JsonObject; valuesFiles: string[]; once: { kind: string; name: string }[] } }
  | { ok: false; because: string };

function helmOf({ values, valuesFiles, once }: HelmSource, parameters: Parameters): FilledHelm {
  const files: string[] = [];
  for (const [n, template] of valuesFiles.entries()) {
    const file = substitute(template, parameters);
    if (!file.ok) return { ok: false, because: `spec.source.helm.valuesFiles[${n}]: ${file.problem}` };
    files.push(file.text);
  }
  const filled = substituteValues(values, parameters);
  if (!filled.ok) return { ok: false, because: `spec.source.helm.values.${filled.at}: ${filled.problem}` };
  return { ok: true, inputs: { values: filled.value as JsonObject, valuesFiles: files, once: [...once] } };
}

const digestOf = (inputs: JsonObject): string => createHash("sha256").update(canonicalJson(inputs)).digest("hex");
