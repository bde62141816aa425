import type { Fleet } from "#hub/fleet/fleet.ts";
import { substitute } from "#hub/fleet/select.ts";
import type { Outcome, Target } from "#hub/decide/inputs.ts";
import { TooLarge } from "#hub/git/mirror.ts";
import type { Source } from "#hub/loop/sources.ts";
import type { Renderer } from "#hub/render/renderer.ts";
import { rendererFor, type Rendered } from "#hub/render/target.ts";
import { reasonOf } from "#lib/log.ts";
import type { Telemetry } from "#lib/telemetry.ts";
import type { ApplicationName, BundleDigest } from "#proto/ids.ts";

/** Renderings kept: their keys and addresses, not their content. */
const keptRenderings = 20_000;

/** What a rendering left to be published from, without its slices. */
export type Sealed = Omit<Rendered, "slices" | "ok"> & { readonly slices: number };

export type RendersOptions = {
  readonly fleet: () => Fleet;
  /** The repository of an Application, if it is followed already. */
  readonly source: (application: ApplicationName) => Source | undefined;
  readonly renderer: Renderer;
  /** Puts a bundle where agents fetch it, before anybody is told of it. */
  readonly put: (rendered: Rendered) => Promise<void>;
  readonly telemetry: Telemetry;
  readonly traceOf: (target: Target) => string;
};

/** Every rendering once: by repository, revision, folder and namespace. */
export type Renders = {
  /** Undefined until it was rendered. */
  outcome(target: Target): Outcome | undefined;
  sealed(digest: BundleDigest): Sealed | undefined;
  render(targets: readonly Target[]): Promise<void>;
  /** The broker lost its blobs: whatever is needed is rendered and put again. */
  forget(): void;
};

export function createRenders(options: RendersOptions): Renders {
  const outcomes = new Map<string, Outcome>();
  const bundles = new Map<BundleDigest, Sealed>();

  type Job = { key: string; source: Source; path: string; namespace: string; isAuto: boolean };

  const jobOf = (target: Target): Job | Outcome | undefined => {
    const fleet = options.fleet();
    const application = fleet.applications.get(target.application);
    const cluster = fleet.clusters.get(target.cluster);
    const source = options.source(target.application);
    if (application === undefined || cluster === undefined || source === undefined) return undefined;
    const parameters = { environment: target.environment, cluster: { name: target.cluster, labels: cluster.labels } };
    const path = substitute(application.source.path, parameters);
    if (!path.ok) return { ok: false, because: path.problem };
    const { render } = application.source;
    if (render === "kustomize" || render === "helm") return notYet(render);
    const { namespace } = application;
    const key = [source.url, target.revision, path.text, namespace, render, options.renderer.version].join("\n");
    return { key, source, path: path.text, namespace, isAuto: render === "auto" };
  };

  const renderOne = async (target: Target, { key, source, path, namespace, isAuto }: Job): Promise<void> => {
    const attributes = { application: target.application, revision: target.revision };
    await options.telemetry.traced("hub.render", { attributes, parent: options.traceOf(target) }, async () => {
      let outcome: Outcome;
      try {
        const files = await source.mirror.contents(target.revision, path);
        const manifests = files.filter(({ path: name }) => /\.(ya?ml|json)$/.test(name));
        const tool = isAuto ? rendererFor(files.map(({ path: name }) => name)) : "plain";
        const rendered =
          tool === "plain"
            ? await options.renderer.render({ application: target.application, files: manifests, namespace })
            : notYet(tool);
        if (rendered.ok) {
          await options.put(rendered);
          const { ok: _ok, slices, ...kept } = rendered;
          bundles.set(rendered.digest, { ...kept, slices: slices.length });
          outcome = { ok: true, digest: rendered.digest };
        } else outcome = { ok: false, because: rendered.because };
      } catch (error) {
        if (!(error instanceof TooLarge) && !isUnknownRevision(error)) throw error;
        outcome = { ok: false, because: reasonOf(error) };
      }
      outcomes.set(key, outcome);
      if (outcomes.size > keptRenderings) outcomes.delete(outcomes.keys().next().value!);
    });
  };

  return {
    outcome(target) {
      const job = jobOf(target);
      if (job === undefined) return undefined;
      return "ok" in job ? job : outcomes.get(job.key);
    },
    sealed: (digest) => bundles.get(digest),
    async render(targets) {
      const jobs = new Map<string, { target: Target; job: Job }>();
      for (const target of targets) {
        const job = jobOf(target);
        if (job !== undefined && !("ok" in job) && !outcomes.has(job.key)) jobs.set(job.key, { target, job });
      }
      await Promise.all([...jobs.values()].map(({ target, job }) => renderOne(target, job)));
    },
    forget() {
      outcomes.clear();
      bundles.clear();
    },
  };
}

const notYet = (tool: string): { ok: false; because: string } => ({
  ok: false,
  because: `render: ${tool} is not there yet; plain manifests are`,
});

/** A Promotion may name a commit that no branch here has. */
const isUnknownRevision = (error: unknown): boolean =>
  error instanceof Error && /not a tree object|bad object|not a valid object|could not get object/i.test(error.message);
