import type { Fleet } from "#hub/fleet/fleet.ts";
import type { Outcome, Target } from "#hub/decide/inputs.ts";
import { GitFailed } from "#hub/git/command.ts";
import { ContentRefused } from "#hub/git/contents.ts";
import { jobOf, type Job } from "#hub/loop/render-job.ts";
import type { Source } from "#hub/loop/sources.ts";
import { YamlProblem } from "#hub/render/kube-yaml.ts";
import { manifestsOf } from "#hub/render/manifests.ts";
import type { Renderer } from "#hub/render/renderer.ts";
import { RenderRefused } from "#hub/render/render-problem.ts";
import type { Rendered } from "#hub/render/target.ts";
import type { Tools } from "#hub/render/tools.ts";
import { PathRefused } from "#hub/render/workplace.ts";
import { reasonOf, type Log } from "#lib/log.ts";
import type { Telemetry } from "#lib/telemetry.ts";
import type { ApplicationName, BlobAddress, BundleDigest } from "#proto/ids.ts";

/** Renderings kept: their keys and addresses, not their content. */
const keptRenderings = 20_000;

/** A repository that could not be read may be readable soon: its failure is remembered for so long. */
const passingMs = 30_000;

/** What a rendering left to be published from, without its slices. */
export type Sealed = Omit<Rendered, "slices" | "ok"> & { readonly slices: number };

export type RendersOptions = {
  readonly fleet: () => Fleet;
  /** The repository of an Application, if it is followed already. */
  readonly source: (application: ApplicationName) => Source | undefined;
  readonly renderer: Renderer;
  /** For the folders that are not plain. */
  readonly tools: Tools;
  /** Puts a bundle where agents fetch it, before anybody is told of it. */
  readonly put: (rendered: Rendered) => Promise<void>;
  readonly telemetry: Telemetry;
  readonly traceOf: (target: Target) => string;
  readonly log: Log;
  readonly signal: AbortSignal;
};

/** Every rendering once: by repository, revision, folder, namespace and, for charts, what they are given. */
export type Renders = {
  /** Undefined until it was rendered. */
  outcome(target: Target): Outcome | undefined;
  sealed(digest: BundleDigest): Sealed | undefined;
  render(targets: readonly Target[]): Promise<void>;
  /** The broker lost its blobs: whatever is needed is rendered and put again. */
  forget(): void;
  /** The broker has this blob no more: what gave it is rendered and put again when it is needed. */
  forgetBlob(address: BlobAddress): void;
};

export function createRenders(options: RendersOptions): Renders {
  const outcomes = new Map<string, Outcome>();
  const bundles = new Map<BundleDigest, Sealed>();
  /** Failures that are no fault of the files, and when they are to be forgotten. */
  const passing = new Map<string, number>();

  /** Whether a chart gave the same twice; its first rendering is done twice, the others wait for what it shows. */
  const proofs = new Map<string, Promise<boolean>>();

  const find = (target: Target): Job | Outcome | undefined =>
    jobOf(target, options.fleet(), options.source(target.application), options.renderer.version);

  const renderWith = async (target: Target, { key, source, wanted }: Job, isFirst: boolean): Promise<Outcome> => {
    const { tools, renderer, log, signal } = options;
    const filesUnder = (folder: string) => source.mirror.contents(target.revision, folder);
    try {
      const { target: manifests, choice } = await manifestsOf(tools, { ...wanted, filesUnder, isFirst, signal });
      const { application, revision } = target;
      log.info({ application, revision, folder: wanted.folder, ...choice }, "renders a folder");
      const rendered = await renderer.render(manifests);
      if (!rendered.ok) return { ok: false, because: rendered.because };
      await options.put(rendered);
      const { ok: _ok, slices, ...kept } = rendered;
      bundles.set(rendered.digest, { ...kept, slices: slices.length });
      return { ok: true, digest: rendered.digest };
    } catch (error) {
      if (isProblem(error)) return { ok: false, because: reasonOf(error) };
      if (!(error instanceof GitFailed)) throw error;
      passing.set(key, performance.now() + passingMs);
      return { ok: false, because: `${wanted.folder || "its folder"} cannot be read from Git: ${reasonOf(error)}` };
    }
  };

  const renderProved = async (target: Target, job: Job): Promise<Outcome> => {
    if (await proofs.get(job.chartKey)) return await renderWith(target, job, false);
    const outcome = renderWith(target, job, true);
    const proof = outcome.then(
      ({ ok }) => ok,
      () => false,
    );
    remember(proofs, job.chartKey, proof);
    return await outcome;
  };

  const renderOne = async (target: Target, job: Job): Promise<void> => {
    const attributes = { application: target.application, revision: target.revision };
    await options.telemetry.traced("hub.render", { attributes, parent: options.traceOf(target) }, async () => {
      remember(outcomes, job.key, await renderProved(target, job));
    });
  };

  return {
    outcome(target) {
      const job = find(target);
      if (job === undefined) return undefined;
      if (!("ok" in job) && (passing.get(job.key) ?? Infinity) < performance.now()) {
        passing.delete(job.key);
        outcomes.delete(job.key);
      }
      return "ok" in job ? job : outcomes.get(job.key);
    },
    sealed: (digest) => bundles.get(digest),
    async render(targets) {
      const jobs = new Map<string, { target: Target; job: Job }>();
      for (const target of targets) {
        const job = find(target);
        if (job !== undefined && !("ok" in job) && !outcomes.has(job.key)) jobs.set(job.key, { target, job });
      }
      await Promise.all([...jobs.values()].map(({ target, job }) => renderOne(target, job)));
    },
    forgetBlob(address) {
      for (const [digest, bundle] of bundles) {
        if (bundle.address !== address) continue;
        bundles.delete(digest);
        for (const [key, outcome] of outcomes) if (outcome.ok && outcome.digest === digest) outcomes.delete(key);
      }
    },
    forget() {
      outcomes.clear();
      bundles.clear();
    },
  };
}

function remember<Value>(kept: Map<string, Value>, key: string, value: Value): void {
  kept.set(key, value);
  if (kept.size > keptRenderings) kept.delete(kept.keys().next().value!);
}

/** What is wrong with the files, and not with the hub. */
const isProblem = (error: unknown): boolean =>
  [ContentRefused, RenderRefused, PathRefused, YamlProblem].some((kind) => error instanceof kind) ||
  isUnknownRevision(error);

/** A Promotion may name a commit that no branch here has. */
const isUnknownRevision = (error: unknown): boolean =>
  error instanceof Error && /not a tree object|bad object|not a valid object|could not get object/i.test(error.message);
