import type { Outcome } from "#hub/api/actions.ts";
import type { Charts } from "#hub/charts/charts.ts";
import { ChartUnavailable } from "#hub/charts/download.ts";
import type { Fleet } from "#hub/fleet/fleet.ts";
import { selects } from "#hub/decide/inputs.ts";
import type { DesiredStates } from "#hub/loop/desired.ts";
import { openChart } from "#hub/loop/open-chart.ts";
import { createRenderFolder } from "#hub/loop/render-folder.ts";
import { jobOf } from "#hub/loop/render-job.ts";
import type { Source } from "#hub/loop/sources.ts";
import { ContentRefused } from "#hub/git/contents.ts";
import { GitFailed } from "#hub/git/command.ts";
import { YamlProblem } from "#hub/render/kube-yaml.ts";
import { RenderRefused } from "#hub/render/render-problem.ts";
import type { Renderer } from "#hub/render/renderer.ts";
import type { Tools } from "#hub/render/tools.ts";
import { PathRefused } from "#hub/render/workplace.ts";
import { atMost } from "#lib/at-most.ts";
import { reasonOf } from "#lib/log.ts";
import type { RenderedAnswer } from "#proto/api.ts";
import { openBundle } from "#proto/bundle.ts";
import type { ApplicationName, ClusterId, EnvironmentName, Revision } from "#proto/ids.ts";
import type { JsonObject, KubeObject } from "#proto/object.ts";

export type RenderedQuestion = {
  readonly application: string;
  readonly cluster: string;
  /** The one whose cluster it is, without it. */
  readonly environment?: string | undefined;
  /** What runs there, without it. */
  readonly revision?: string | undefined;
};

export type RenderedParts = {
  readonly fleet: () => Fleet;
  readonly desired: DesiredStates;
  /** What an agent said that it runs. */
  readonly told: (cluster: ClusterId, application: string, environment: string) => Revision | undefined;
  readonly sourceOf: (application: string) => Source | undefined;
  /** A followed Git repository by its name. */
  readonly repository: (name: string) => Source | undefined;
  /** For charts that are published, and not in Git. */
  readonly charts: Pick<Charts, "look">;
  readonly tools: Tools;
  readonly renderer: Renderer;
  readonly signal: AbortSignal;
};

/** What a rendering can be refused for, by what people wrote or by a server that they named. */
const refusals = [ContentRefused, RenderRefused, PathRefused, YamlProblem, GitFailed, ChartUnavailable];

/** One at a time: people's questions must not take what the fleet's own renderings need. */
const atOnce = 1;

/** Answers what an Application is, or would be, on a cluster. Nothing is published; values of Secrets are taken out. */
export function createRendered(parts: RenderedParts): (question: RenderedQuestion) => Promise<Outcome<RenderedAnswer>> {
  const { fleet, desired, sourceOf, repository, charts, tools, renderer, signal } = parts;
  const renderFolder = createRenderFolder(tools, renderer, signal);
  const limited = atMost(atOnce);
  return async (question) => {
    const application = question.application as ApplicationName;
    const cluster = question.cluster as ClusterId;
    const environment = environmentOf(fleet(), application, cluster, question.environment);
    const source = sourceOf(application);
    if (!fleet().applications.has(application))
      return missing(`there is no application ${application}`, "plumb status shows those there are");
    if (!fleet().clusters.has(cluster))
      return missing(`there is no cluster ${cluster}`, "plumb cluster list shows those there are");
    if (environment === undefined || source === undefined)
      return missing(
        `${application} is not delivered to ${cluster}${question.environment === undefined ? "" : ` by ${question.environment}`}`,
        "plumb status shows what is",
      );
    const running = desired
      .known(cluster)
      ?.state.entries.find((entry) => entry.application === application && entry.environment === environment);
    // What is held runs on; which revision that is, only its agent says.
    const ran = running?.kind === "run" ? running.revision : parts.told(cluster, application, environment);
    const revision = question.revision === undefined ? ran : await source.mirror.resolve(question.revision);
    if (revision === undefined)
      return question.revision === undefined
        ? missing(`${application} runs nowhere on ${cluster} yet`, "name a revision by --revision")
        : missing(`${question.revision} is no revision of ${application}'s repository`, "");
    const target: {
      application: ApplicationName;
      environment: EnvironmentName;
      cluster: ClusterId;
      revision: Revision;
    } = {
      application,
      environment,
      cluster,
      revision,
    };
    const job = jobOf(target, fleet(), source, renderer.version);
    if (job === undefined || "ok" in job)
      return missing(job !== undefined && !job.ok ? job.because : `${application} is not known`, "");
    try {
      const done = await limited(async () => {
        const chart = await openChart(job, { openPublished: charts.look, repository });
        return renderFolder(job, { isFirst: false, chart });
      });
      if ("ok" in done) return unrendered(done.because);
      const { rendered, choice } = done;
      const objects = openBundle(rendered.slices, rendered).map(withoutSecretValues);
      const about = { application, environment, cluster, revision, digest: rendered.digest };
      return { ok: true, ...about, renderer: `${choice.renderer} (${choice.because})`, objects };
    } catch (error) {
      if (!refusals.some((kind) => error instanceof kind)) throw error;
      return unrendered(reasonOf(error));
    }
  };
}

function environmentOf(
  fleet: Fleet,
  application: ApplicationName,
  cluster: ClusterId,
  wanted: string | undefined,
): EnvironmentName | undefined {
  const labels = fleet.clusters.get(cluster)?.labels;
  return fleet.applications.get(application)?.environments.find((name) => {
    const selector = fleet.environments.get(name)?.clusters;
    return (wanted === undefined || name === wanted) && labels && selector && selects(selector, labels);
  });
}

/** Keys stay, so that a missing one is seen. */
function withoutSecretValues(object: KubeObject): KubeObject {
  if (object.kind !== "Secret" || object.apiVersion !== "v1" || object["data"] === undefined) return object;
  const keys = Object.keys(object["data"] as JsonObject);
  return { ...object, data: Object.fromEntries(keys.map((key) => [key, "(redacted)"])) };
}

const missing = (message: string, advice: string): Outcome<RenderedAnswer> => ({
  ok: false,
  status: 404,
  message,
  advice,
});
/** No "no" to a question: there is nothing to show. */
const unrendered = (message: string): Outcome<RenderedAnswer> => ({
  ok: false,
  status: 422,
  message,
  advice: "mend the manifests, or name another revision",
});
