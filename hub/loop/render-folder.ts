import type { Job } from "#hub/loop/render-job.ts";
import type { Shape } from "#hub/loop/kept-renderings.ts";
import type { OpenedChart } from "#hub/loop/open-chart.ts";
import type { Source } from "#hub/loop/sources.ts";
import type { Choice } from "#hub/render/choose.ts";
import type { PlacedChart } from "#hub/render/helm.ts";
import { manifestsOf, type Wanted } from "#hub/render/manifests.ts";
import type { ManifestFile } from "#hub/render/objects.ts";
import type { Renderer } from "#hub/render/renderer.ts";
import type { Rendered, RenderProblem } from "#hub/render/target.ts";
import type { Tools } from "#hub/render/tools.ts";
import { shareByKey } from "#lib/shared.ts";
import type { Revision } from "#proto/ids.ts";

export type FolderRendered = { readonly rendered: Rendered; readonly choice: Choice; readonly shape: Shape };

export type RenderFolder = (
  job: Job,
  options: {
    readonly isFirst: boolean;
    /** The chart from elsewhere that the job names. */
    readonly chart?: OpenedChart | undefined;
    /** Gets the paths that are looked at, as they are. */
    readonly looked?: Set<string> | undefined;
  },
) => Promise<FolderRendered | RenderProblem>;

type Files = AsyncDisposable & { readonly files: readonly ManifestFile[] };

/** Reads, renders and seals; what several targets read at the same time is read once. */
export function createRenderFolder(tools: Tools, renderer: Renderer, signal: AbortSignal): RenderFolder {
  const shareFiles = shareByKey<Files>();
  const shareChart = shareByKey<PlacedChart>();
  const nothing = (): Promise<void> => Promise.resolve();

  return async ({ source, target, wanted }, { isFirst, chart, looked = new Set() }) => {
    await using scope = new AsyncDisposableStack();
    const filesUnder = async (folder: string): Promise<readonly ManifestFile[]> => {
      looked.add(folder);
      const shared = await shareFiles(at(source, target.revision, folder), async () => ({
        files: await source.mirror.contents(target.revision, folder),
        [Symbol.asyncDispose]: nothing,
      }));
      return scope.use(shared).value.files;
    };
    const fileAt = (path: string): Promise<Uint8Array | undefined> => {
      looked.add(path);
      return source.mirror.file(target.revision, path);
    };
    const chartKey = chart?.key ?? at(source, target.revision, wanted.folder);
    const helm = { ...wanted.helm, chart: chart?.source(filesUnder) };
    const share: Wanted["share"] = (place) => shareChart(chartKey, place);
    const { target: manifests, choice } = await manifestsOf(tools, {
      ...wanted,
      helm,
      filesUnder,
      fileAt,
      isFirst,
      share,
      signal,
    });
    const rendered = await renderer.render(manifests);
    if (!rendered.ok) return rendered;
    return { rendered, choice, shape: { paths: [...looked].sort(), parameters: rendered.parameters } };
  };
}

const at = (source: Source, revision: Revision, folder: string): string => [source.url, revision, folder].join("\n");
