import { randomBytes } from "node:crypto";
import type { RenderTools } from "#cli/config.ts";
import type { OpenChart } from "#cli/offline/charts.ts";
import type { Fleet } from "#hub/fleet/fleet.ts";
import type { Files } from "#hub/git/checkout.ts";
import { ContentRefused } from "#hub/git/contents.ts";
import { jobOf } from "#hub/loop/render-job.ts";
import type { Source } from "#hub/loop/sources.ts";
import { openFence } from "#hub/render/fence.ts";
import { YamlProblem } from "#hub/render/kube-yaml.ts";
import { manifestsOf } from "#hub/render/manifests.ts";
import { createRenderer } from "#hub/render/renderer.ts";
import { RenderRefused } from "#hub/render/render-problem.ts";
import { openTools } from "#hub/render/tools.ts";
import { PathRefused } from "#hub/render/workplace.ts";
import { openBundle } from "#proto/bundle.ts";
import { revision, type ApplicationName, type ClusterId, type EnvironmentName } from "#proto/ids.ts";
import type { KubeObject } from "#proto/object.ts";

export type Wish = {
  readonly application: ApplicationName;
  readonly environment: EnvironmentName;
  readonly cluster: ClusterId;
};

export type Dish =
  | {
      readonly ok: true;
      readonly digest: string;
      readonly renderer: string;
      readonly objects: readonly KubeObject[];
      /** What is probably a mistake in its files. */
      readonly warnings: readonly string[];
    }
  | { readonly ok: false; readonly because: string };

/** Renders as the hub does, by the same code and tools, from files at hand. */
export type Kitchen = AsyncDisposable & { cook(fleet: Fleet, files: Files, wish: Wish): Promise<Dish> };

/** `openChart` gives what lies elsewhere than in an Application's own folder. */
export async function openKitchen(programs: RenderTools, openChart: OpenChart, signal: AbortSignal): Promise<Kitchen> {
  const tools = openTools(await openFence(programs), programs);
  const renderer = createRenderer(randomBytes(32), 1);
  return {
    async cook(fleet, files, wish) {
      // Nothing of it is kept by revision here, so any will do.
      const target = { ...wish, revision: revision("0".repeat(40)) };
      const job = jobOf(target, fleet, { url: "" } as Source, renderer.version);
      if (job === undefined) return { ok: false, because: `${wish.application} is not declared for ${wish.cluster}` };
      if ("ok" in job) return job.ok ? { ok: false, because: "" } : job;
      try {
        const chart = job.chart === null ? undefined : await openChart(job.chart, files);
        const { target: manifests, choice } = await manifestsOf(tools, {
          ...job.wanted,
          helm: { ...job.wanted.helm, chart },
          filesUnder: (folder) => files.contents(folder),
          fileAt: (path) => files.file(path),
          isFirst: true,
          signal,
        });
        const rendered = await renderer.render(manifests);
        if (!rendered.ok) return rendered;
        const { renderer: name, because } = choice;
        return {
          ok: true,
          digest: rendered.digest,
          renderer: `${name} (${because})`,
          objects: openBundle(rendered.slices, rendered),
          warnings: rendered.warnings,
        };
      } catch (error) {
        if ([ContentRefused, RenderRefused, PathRefused, YamlProblem].some((kind) => error instanceof kind))
          return { ok: false, because: (error as Error).message };
        throw error;
      }
    },
    [Symbol.asyncDispose]: () => renderer[Symbol.asyncDispose](),
  };
}
