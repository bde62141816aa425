import { join } from "node:path";
import { createCharts, type Charts } from "#hub/charts/charts.ts";
import { createDownload } from "#hub/charts/download.ts";
import { chartRepository } from "#hub/loop/chart-repository.ts";
import { keepRenderings } from "#hub/loop/kept-renderings.ts";
import { patient } from "#hub/loop/patient.ts";
import { createRenders, type Renders } from "#hub/loop/renders.ts";
import { openFence } from "#hub/render/fence.ts";
import { createRenderer, type Renderer } from "#hub/render/renderer.ts";
import { openSealedStore, type SealedStore } from "#hub/render/sealed-store.ts";
import { openTools, type Tools } from "#hub/render/tools.ts";
import { reasonOf } from "#lib/log.ts";
import type { Git } from "./git.ts";
import { decidingOf, fleetOf, type Term } from "./term.ts";

/** A few hundred of the largest charts, or all of a common fleet; what does not fit is rendered again. */
const keptRenderings = { bytes: 512 * 1024 * 1024, files: 20_000 };
const keptCharts = { bytes: 256 * 1024 * 1024, files: 1_000 };

export type Rendering = {
  readonly renderer: Renderer;
  readonly tools: Tools;
  /** Charts that are published, and not in Git. */
  readonly charts: Charts;
  /** Waits for each rendering, however long it takes. */
  readonly whole: Renders;
  /** Waits a moment: a slow rendering goes on, and the loop is told when it is done. */
  readonly renders: Renders;
};

/** Commits in, bundles in the broker out: nothing is rendered before the loop asks. */
export async function openRendering(term: Term, { sources, records }: Git): Promise<Rendering> {
  const { config, identity, clock, log, telemetry, signal, broker, traces, later } = term;
  const renderer = term.use(createRenderer(identity.contentSecret));
  const fence = await openFence(config);
  for (const missing of fence.missing) log.warn({ missing }, "Kustomize and Helm are rendered without this fence");
  const tools = openTools(fence, config);
  const charts = await openCharts(term, records, renderer);
  const whole = createRenders({
    charts,
    repository: (name) => sources.byName(name),
    kept: keepRenderings(
      await openKept(term, "renderings", keptRenderings, "a kept rendering cannot be used; it is made again"),
    ),
    fleet: () => decidingOf(term),
    source: (application) => sources.of(decidingOf(term), application),
    renderer,
    tools,
    log,
    signal,
    put: ({ address, slices }) => broker.putBlob({ address, slices: slices.map((slice) => Buffer.from(slice)) }),
    telemetry,
    traceOf: ({ revision }) => traces.of(revision, later.loop?.state().fleetCommit),
  });
  later.fetched = () => whole.fetched();
  const renders = patient(whole, {
    clock,
    late: (error) => {
      if (error !== undefined && !signal.aborted) log.error({ because: reasonOf(error) }, "a rendering stopped");
      later.loop?.poke();
    },
  });
  return { renderer, tools, charts, whole, renders };
}

async function openCharts(term: Term, records: Git["records"], renderer: Renderer): Promise<Charts> {
  const { config, signal } = term;
  return createCharts({
    repository: (name) => chartRepository(fleetOf(term).repositories.get(name), config.secretFolder),
    recorded: (key) => records.now().charts.get(key),
    record: (chart) => records.lockChart(chart),
    store: await openKept(term, "charts", keptCharts, "a kept chart cannot be used; it is fetched again"),
    download: term.use(createDownload(new Set(config.allowRepositoryHost), signal)),
    find: (query) => renderer.find(query),
  });
}

/** Sealed, since Secrets are among what is kept. */
const openKept = (
  { config, identity, log }: Term,
  name: "renderings" | "charts",
  limits: { bytes: number; files: number },
  unusable: string,
): Promise<SealedStore> =>
  openSealedStore(join(config.data, name), identity.contentSecret, `plumbline.dev/kept-${name}/v1`, limits, (error) =>
    log.warn({ because: reasonOf(error) }, unusable),
  );
