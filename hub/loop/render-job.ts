import type { Fleet } from "#hub/fleet/fleet.ts";
import type { DeclaredChart } from "#hub/fleet/kinds/chart.ts";
import { parameterValues, substitute, type Parameters } from "#hub/fleet/select.ts";
import { substituteValues } from "#hub/fleet/substitute-values.ts";
import type { Outcome, Target } from "#hub/decide/inputs.ts";
import type { Source } from "#hub/loop/sources.ts";
import type { Wanted } from "#hub/render/manifests.ts";
import { canonicalJson, sha256Hex } from "#proto/json.ts";
import type { JsonObject } from "#proto/object.ts";

/** What a target's rendering depends on, its parameters filled in. Equal keys are one rendering. */
export type Job = {
  readonly key: string;
  readonly source: Source;
  readonly target: Target;
  readonly chart: DeclaredChart | null;
  readonly wanted: Pick<
    Wanted,
    "application" | "namespace" | "folder" | "render" | "include" | "exclude" | "parameters" | "clusterScoped"
  > & { readonly helm: Omit<Wanted["helm"], "chart"> };
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
  const { path, render, include, exclude, clusterScoped } = application.source;
  const folder = substitute(path, parameters);
  if (!folder.ok) return { ok: false, because: folder.problem };
  const { chart, ...declaredHelm } = application.source.helm;
  const helm = helmOf(declaredHelm, parameters);
  if (!helm.ok) return { ok: false, because: helm.because };
  const declared = fleet.environments.get(target.environment)?.kubernetes;
  const kubernetes = { version: declared?.version, apis: declared?.apis ?? [] };
  // Only a chart can tell the Application's name, the values and what the Environment declares.
  const isChart = render === "helm" || render === "auto" || chart !== null;
  const given = { ...helm.inputs, apis: [...kubernetes.apis], version: kubernetes.version ?? null, chart };
  const inText = application.source.parameters ? parameterValues(parameters) : undefined;
  const parts = {
    version,
    at: [source.url, target.revision, folder.text],
    namespace,
    read: [render, [...include], [...exclude], [...clusterScoped]],
    chart: isChart ? [target.application, digestOf(given)] : [],
    inText: inText ?? null,
  };
  const trimmed = folder.text.replace(/\/+$/, "");
  const wanted = {
    application: target.application,
    namespace,
    folder: trimmed === "." ? "" : trimmed,
    render,
    include,
    exclude,
    clusterScoped,
    parameters: inText,
    helm: { ...helm.inputs, kubernetes },
  };
  return { key: JSON.stringify(parts), source, target, chart, wanted };
}

/**
 * Everything but content, revision and the values of parameters in text that decides what a rendering gives: with equal
 * settings and equal content it is the same, whatever repository and commit it was read from.
 */
export function settingsOf({ wanted, chart }: Job, version: string, pin: string | undefined): string {
  const { application, helm, render, parameters, kubernetes, ...rest } = {
    ...wanted,
    kubernetes: wanted.helm.kubernetes,
  };
  const isChart = render === "helm" || render === "auto" || chart !== null;
  const given = {
    ...helm,
    kubernetes: { version: kubernetes.version ?? null, apis: kubernetes.apis },
    chart,
    pin: pin ?? null,
  };
  const inText = parameters !== undefined;
  return digestOf({
    version,
    rest,
    render,
    inText,
    chart: isChart ? { application, given } : null,
  } as unknown as JsonObject);
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

const digestOf = (inputs: JsonObject): string => sha256Hex(canonicalJson(inputs));
