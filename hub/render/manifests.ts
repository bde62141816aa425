import { chooseRenderer, type Choice, type RendererName } from "#hub/render/choose.ts";
import type { FilesUnder } from "#hub/render/gather.ts";
import { placeChart, templateChart, type ChartSource, type HelmInputs, type PlacedChart } from "#hub/render/helm.ts";
import { buildKustomization } from "#hub/render/kustomize.ts";
import { RenderRefused } from "#hub/render/render-problem.ts";
import { refusePointers } from "#hub/render/pointers.ts";
import { isManifest } from "#hub/render/selection.ts";
import type { RenderTarget } from "#hub/render/target.ts";
import type { Tools } from "#hub/render/tools.ts";
import type { Shared } from "#lib/shared.ts";

/** One folder at one commit, and how an Application wants it read. */
export type Wanted = {
  readonly application: string;
  readonly namespace: string;
  readonly folder: string;
  readonly filesUnder: FilesUnder;
  /** One regular file of the same commit. */
  readonly fileAt: (path: string) => Promise<Uint8Array | undefined>;
  readonly render: RendererName | "auto";
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  /** Values of `${NAME}` in the text of manifests, where the Application asks for them to be filled in. */
  readonly parameters?: Readonly<Record<string, string>> | undefined;
  readonly clusterScoped?: readonly string[];
  readonly helm: Omit<HelmInputs, "release" | "namespace"> & {
    readonly once: NonNullable<RenderTarget["once"]>;
    /** A chart that lies elsewhere than in the folder. */
    readonly chart?: (ChartSource & { /** For people. */ readonly from: string }) | undefined;
  };
  /** Whether a chart's determinism is still to be shown; the first rendering of a chart shows it for all. */
  readonly isFirst: boolean;
  /** Puts a chart where renderings at the same time share it; without it, each has its own. */
  readonly share?: ((place: () => Promise<PlacedChart>) => Promise<Shared<PlacedChart>>) | undefined;
  readonly signal?: AbortSignal | undefined;
};

type Manifests = { readonly target: RenderTarget; readonly choice: Choice };

/** Plain files as they lie, or what Kustomize or Helm makes of them. Throws RenderRefused. */
export async function manifestsOf(tools: Tools, wanted: Wanted): Promise<Manifests> {
  const { application, namespace, folder, parameters, clusterScoped, signal } = wanted;
  const target = { application, namespace, clusterScoped };
  const { chart } = wanted.helm;
  if (chart !== undefined) {
    const choice: Choice = { renderer: "helm", because: `spec.source.helm.chart: ${chart.from}` };
    return { choice, target: { ...target, ...(await released(tools, wanted, chart, true)) } };
  }
  const own = await wanted.filesUnder(folder);
  // Of plain manifests only what is selected must be there; what a tool reads is not known before.
  const filesUnder: FilesUnder = async (wantedFolder) => refusePointers(await wanted.filesUnder(wantedFolder));
  const paths = own.map(({ path }) => path);
  const choice = chooseRenderer(wanted.render, folder, paths);
  refuseUnused(choice, wanted);
  switch (choice.renderer) {
    case "plain": {
      const select = { folder, include: wanted.include ?? [], exclude: wanted.exclude ?? [] };
      return { choice, target: { ...target, files: own.filter(isManifest), select, parameters } };
    }
    case "kustomize": {
      const built = await buildKustomization(tools, folder, filesUnder, signal);
      return { choice, target: { ...target, ...built, parameters } };
    }
    case "helm": {
      const source: ChartSource = { kind: "folder", folder, filesUnder };
      return { choice, target: { ...target, ...(await released(tools, wanted, source, false)) } };
    }
  }
}

async function released(tools: Tools, wanted: Wanted, source: ChartSource, isElsewhere: boolean) {
  const { helm, application, namespace, folder, fileAt, isFirst, signal } = wanted;
  const place = (): Promise<PlacedChart> => placeChart(source);
  await using placed = await (wanted.share ?? alone)(place);
  const values = { folder, ...(isElsewhere ? { read: fileAt } : {}) };
  const inputs = { ...helm, release: application, namespace };
  const renderings = isFirst ? 2 : 1;
  const [first, second] = await templateChart(tools, placed.value, values, inputs, { renderings, signal });
  // Byte for byte the same holds the same objects: nothing has to be read to know it.
  const isSame = second === undefined || Buffer.compare(first!.bytes, second.bytes) === 0;
  return {
    files: [first!],
    again: isSame ? undefined : [second],
    isRelease: true,
    once: helm.once,
  } satisfies Partial<RenderTarget>;
}

async function alone(place: () => Promise<PlacedChart>): Promise<Shared<PlacedChart>> {
  const value = await place();
  return { value, [Symbol.asyncDispose]: () => value[Symbol.asyncDispose]() };
}

/** Fields that the chosen renderer does not read would be promises broken in silence. */
function refuseUnused({ renderer, because }: Choice, { include = [], exclude = [], parameters }: Wanted): void {
  const refuse = (field: string, where: string): never => {
    throw new RenderRefused(`spec.source.${field} is for ${where}, and this is rendered by ${renderer} (${because})`);
  };
  if (renderer !== "plain" && include.length > 0) refuse("include", "plain manifests");
  if (renderer !== "plain" && exclude.length > 0) refuse("exclude", "plain manifests");
  if (renderer === "helm" && parameters !== undefined)
    refuse("parameters", "plain manifests and Kustomize: a chart takes parameters in helm.values");
}
