import type { Fleet } from "#hub/fleet/fleet.ts";
import type { Outcome, Target } from "#hub/decide/inputs.ts";
import { ChartUnavailable } from "#hub/charts/download.ts";
import type { Charts } from "#hub/charts/charts.ts";
import { firstProof } from "#hub/loop/first-proof.ts";
import { openChart, pinOf } from "#hub/loop/open-chart.ts";
import { keepFailures, type FailureKind } from "#hub/loop/kept-failures.ts";
import { keepRenderings, nameOf, type KeptRenderings, type Seen } from "#hub/loop/kept-renderings.ts";
import { causeOf } from "#hub/loop/render-cause.ts";
import { createRenderFolder } from "#hub/loop/render-folder.ts";
import { jobOf, settingsOf, type Job } from "#hub/loop/render-job.ts";
import { lookAt, seenOf } from "#hub/loop/render-look.ts";
import { createNotes, noteOf, type Note } from "#hub/loop/render-notes.ts";
import type { Source } from "#hub/loop/sources.ts";
import type { Renderer } from "#hub/render/renderer.ts";
import type { Rendered } from "#hub/render/target.ts";
import type { Tools } from "#hub/render/tools.ts";
import { atMost } from "#lib/at-most.ts";
import { reasonOf, type Log } from "#lib/log.ts";
import { remember } from "#lib/remember.ts";
import type { Telemetry } from "#lib/telemetry.ts";
import type { ApplicationName, BlobAddress, BundleDigest } from "#proto/ids.ts";

/** Renderings kept: their keys and addresses, not their content. */
const keptRenderings = 20_000;
/** Each holds the files of its folder, up to 32 MiB, and a tool or a worker; more at once are no faster. */
const atOnce = 4;

/** A repository that could not be read may be readable soon, and a missing revision there: they are remembered for so long. */
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
  /** Charts that are published, and not in Git. */
  readonly charts?: Charts;
  /** A followed Git repository by its name. */
  readonly repository?: (name: string) => Source | undefined;
  /** What was rendered before, by this hub or the one before it. */
  readonly kept?: KeptRenderings;
  /** Puts a bundle where agents fetch it, before anybody is told of it. */
  readonly put: (rendered: Rendered) => Promise<void>;
  readonly telemetry: Telemetry;
  readonly traceOf: (target: Target) => string;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** A clock that only goes forward. */
  readonly nowMs?: () => number;
};

/** Every rendering once: by what it reads, and what it is given. */
export type Renders = {
  /** Undefined until it was rendered. */
  outcome(target: Target): Outcome | undefined;
  sealed(digest: BundleDigest): Sealed | undefined;
  /** How an Application was last rendered in an Environment, and why so: a sentence for people. */
  choice(application: string, environment: string): string | undefined;
  /** What that rendering read and is probably a mistake. */
  warnings(application: string, environment: string): readonly string[];
  render(targets: readonly Target[]): Promise<void>;
  /** The broker lost its blobs: whatever is needed is put again. */
  forget(): void;
  /** The broker has this blob no more: it is put again when it is needed. */
  forgetBlob(address: BlobAddress): void;
  /** Something new is here: what was not to be found before is looked for again. */
  fetched(): void;
};

type Found = { readonly digest: BundleDigest; readonly note: Note };

export function createRenders(options: RendersOptions): Renders {
  const { kept = keepRenderings(), renderer, log, nowMs = () => performance.now() } = options;
  const renderFolder = createRenderFolder(options.tools, renderer, options.signal);
  const limited = atMost(atOnce);
  const outcomes = new Map<string, Outcome>();
  const bundles = new Map<BundleDigest, Sealed>();
  /** Failures that may pass, and when they are to be forgotten. */
  const passing = new Map<string, number>();
  /** Failures for want of a commit, or of a repository, that may be fetched yet. */
  const unknown = new Set<string>();
  /** Results of this run by the name of what they read. */
  const results = new Map<string, Found>();
  const failures = keepFailures(nowMs);
  const notes = createNotes(keptRenderings);
  /** The first rendering of a chart is done twice, and shows that it gives the same. */
  const proved = firstProof<Outcome>(({ ok }) => ok, keptRenderings);
  /** Renderings that run, by what they read first: one that reads the same may find its result afterwards. */
  const running = new Map<string, Promise<unknown>>();

  const find = (target: Target): Job | Outcome | undefined =>
    jobOf(target, options.fleet(), options.source(target.application), renderer.version);

  const settingsFor = (job: Job): string => settingsOf(job, renderer.version, pinOf(job, options.charts));
  /** A reason names its Application, which a result does not. */
  const failureSettings = (job: Job): string => `${job.target.application}\n${settingsFor(job)}`;
  /** What is rendered twice once: a chart, whatever its values. */
  const chartOf = (job: Job, first: string): string[] =>
    job.chart === null
      ? [job.source.url, first]
      : [JSON.stringify(job.chart), pinOf(job, options.charts) ?? job.target.revision];

  const settle = ({ key }: Job, outcome: Outcome, note?: Note): void => {
    remember(outcomes, key, outcome, keptRenderings);
    if (note !== undefined) notes.keep(key, note);
  };

  const publishable = async (rendered: Rendered): Promise<void> => {
    await options.put(rendered);
    const { ok: _ok, slices, ...rest } = rendered;
    bundles.set(rendered.digest, { ...rest, slices: slices.length });
  };

  /** Takes the result of an earlier rendering that read exactly what this one would read. */
  const settleFromKept = async (job: Job, seen: Seen): Promise<boolean> => {
    const settings = settingsFor(job);
    const failed = failures.find(failureSettings(job), seen);
    if (failed !== undefined) {
      if (failed.againAtMs !== undefined) passing.set(job.key, failed.againAtMs);
      settle(job, { ok: false, because: failed.because });
      return true;
    }
    for (const shape of await kept.shapes(settings)) {
      const name = nameOf(settings, shape, seen);
      if (name === undefined) continue;
      const known = results.get(name);
      if (known !== undefined && bundles.has(known.digest)) {
        settle(job, { ok: true, digest: known.digest, inputs: name }, known.note);
        return true;
      }
      const found = await kept.get(name);
      if (found === undefined) continue;
      await publishable(found.rendered);
      const note = noteOf(found.rendered, found.choice);
      remember(results, name, { digest: found.rendered.digest, note }, keptRenderings);
      settle(job, { ok: true, digest: found.rendered.digest, inputs: name }, note);
      return true;
    }
    return false;
  };

  const look = (jobs: readonly Job[]): Promise<(job: Job) => Seen> =>
    lookAt(jobs, async (job) => [...failures.shapes(failureSettings(job)), ...(await kept.shapes(settingsFor(job)))]);

  /** The files are at fault, or what they ask for: until one of them changes a try would give the same, or most likely so. */
  const failed = async (job: Job, reading: Reading, because: string, kind: FailureKind): Promise<Outcome> => {
    const shape = { paths: [...reading.looked].sort(), parameters: Object.keys(job.wanted.parameters ?? {}).sort() };
    const world = await seenOf(job, shape.paths, reading.seen).catch(() => reading.seen);
    const { againAtMs } = failures.keep(failureSettings(job), shape, world, because, kind);
    if (againAtMs !== undefined) passing.set(job.key, againAtMs);
    return { ok: false, because };
  };

  /** What is told of an error, and when the job is tried again. */
  const failedBy = async (job: Job, reading: Reading, error: unknown): Promise<Outcome> => {
    const { key, target, wanted, chart } = job;
    const { kind, because } = causeOf(error, wanted.folder, target.revision);
    switch (kind) {
      case "absent":
        unknown.add(key);
        return { ok: false, because };
      case "fault":
      case "overrun":
        // What stands in the way before the folder is read is in the fleet's documents, and no file of it.
        return reading.isOpen ? await failed(job, reading, because, kind) : { ok: false, because };
      case "unforeseen":
        if (reading.isRendered || options.signal.aborted) throw error;
        // Whatever it is (a full disk, a mistake of ours), it concerns this one alone until something else says otherwise.
        log.error({ application: target.application, because: reasonOf(error) }, "a folder could not be rendered");
        break;
      case "passing":
        // A chart's repository may have been declared beside it, and be fetched at any moment.
        if (error instanceof ChartUnavailable && chart?.from === "git") unknown.add(key);
    }
    passing.set(key, nowMs() + passingMs);
    return { ok: false, because };
  };

  const renderWith = async (job: Job, seen: Seen, isFirst: boolean): Promise<Outcome> => {
    const { target, wanted } = job;
    const reading: Reading = { looked: new Set(), seen, isOpen: false, isRendered: false };
    try {
      const chart = await openChart(job, { openPublished: options.charts?.open, repository: options.repository });
      reading.isOpen = true;
      const done = await limited(() => renderFolder(job, { isFirst, chart, looked: reading.looked }));
      reading.isRendered = true;
      if ("ok" in done) return await failed(job, reading, done.because, done.isPassing === true ? "overrun" : "fault");
      const { rendered, choice, shape } = done;
      const { application, revision } = target;
      log.info({ application, revision, folder: wanted.folder, ...choice }, "rendered a folder");
      await publishable(rendered);
      const note = noteOf(rendered, choice);
      const settings = settingsFor(job);
      const name = nameOf(settings, shape, await seenOf(job, shape.paths, seen));
      const outcome: Outcome = { ok: true, digest: rendered.digest, ...(name !== undefined && { inputs: name }) };
      settle(job, outcome, note);
      if (name === undefined) return outcome;
      remember(results, name, { digest: rendered.digest, note }, keptRenderings);
      await kept.keep(settings, shape, name, { rendered, choice });
      return outcome;
    } catch (error) {
      return await failedBy(job, reading, error);
    }
  };

  const renderOne = async (job: Job, seen: Seen): Promise<void> => {
    const { target, wanted } = job;
    const first = seen.objects.get(wanted.folder) ?? target.revision;
    const reads = [settingsFor(job), first].join("\n");
    const before = running.get(reads);
    if (before !== undefined) {
      await before.catch(() => undefined);
      const now = await look([job]);
      if (await settleFromKept(job, now(job))) return;
    }
    const attributes = { application: target.application, revision: target.revision };
    const work = options.telemetry.traced("hub.render", { attributes, parent: options.traceOf(target) }, async () =>
      settle(
        job,
        await proved([...chartOf(job, first), wanted.folder].join("\n"), (isFirst) => renderWith(job, seen, isFirst)),
      ),
    );
    if (before === undefined) running.set(reads, work);
    try {
      await work;
    } finally {
      if (running.get(reads) === work) running.delete(reads);
    }
  };

  return {
    outcome(target) {
      const job = find(target);
      if (job === undefined) return undefined;
      if (!("ok" in job) && (passing.get(job.key) ?? Infinity) <= nowMs()) {
        passing.delete(job.key);
        outcomes.delete(job.key);
      }
      if ("ok" in job) return job;
      notes.asked(target.application, target.environment, job.key);
      return outcomes.get(job.key);
    },
    sealed: (digest) => bundles.get(digest),
    choice: (application, environment) => notes.of(application, environment)?.choice,
    warnings: (application, environment) => notes.of(application, environment)?.warnings ?? [],
    async render(targets) {
      const jobs = new Map<string, Job>();
      for (const target of targets) {
        const job = find(target);
        if (job !== undefined && !("ok" in job) && !outcomes.has(job.key)) jobs.set(job.key, job);
      }
      const commits = Map.groupBy(jobs.values(), ({ source, target }) => `${source.url}\n${target.revision}`);
      const work = [...commits.values()].map(async (ofCommit) => {
        const seen = await look(ofCommit);
        await Promise.all(
          ofCommit.map(async (job) => {
            if (!(await settleFromKept(job, seen(job)))) await renderOne(job, seen(job));
          }),
        );
      });
      await Promise.all(work);
    },
    forgetBlob(address) {
      for (const [digest, bundle] of bundles) {
        if (bundle.address !== address) continue;
        bundles.delete(digest);
        for (const [key, outcome] of outcomes) if (outcome.ok && outcome.digest === digest) outcomes.delete(key);
      }
    },
    fetched() {
      for (const key of unknown) outcomes.delete(key);
      unknown.clear();
    },
    forget() {
      outcomes.clear();
      bundles.clear();
    },
  };
}

/** How far a rendering came, and what it read. */
type Reading = { readonly looked: Set<string>; readonly seen: Seen; isOpen: boolean; isRendered: boolean };
