import { chooseRenderer, type Choice, type RendererName } from "#hub/render/choose.ts";
import type { FilesUnder } from "#hub/render/gather.ts";
import { templateChart, type HelmInputs } from "#hub/render/helm.ts";
import { buildKustomization } from "#hub/render/kustomize.ts";
import type { ManifestFile } from "#hub/render/objects.ts";
import { RenderRefused } from "#hub/render/render-problem.ts";
import { refusePointers } from "#hub/render/pointers.ts";
import type { RenderTarget } from "#hub/render/target.ts";
import type { Tools } from "#hub/render/tools.ts";

/** One folder at one commit, and how an Application wants it read. */
export type Wanted = {
  readonly application: string;
  readonly namespace: string;
  readonly folder: string;
  readonly filesUnder: FilesUnder;
  readonly render: RendererName | "auto";
  readonly helm: Omit<HelmInputs, "release" | "namespace"> & { readonly once: readonly unknown[] };
  /** Whether a chart's determinism is still to be shown; the first rendering of a chart shows it for all. */
  readonly isFirst: boolean;
  readonly signal?: AbortSignal | undefined;
};

/** Plain files as they lie, or what Kustomize or Helm makes of them. Throws RenderRefused. */
export async function manifestsOf(tools: Tools, wanted: Wanted): Promise<{ target: RenderTarget; choice: Choice }> {
  const { application, namespace, folder, signal } = wanted;
  const own = await wanted.filesUnder(folder);
  // Of plain manifests only what is read must be there; what a tool reads is not known before.
  const filesUnder: FilesUnder = async (wantedFolder) => refusePointers(await wanted.filesUnder(wantedFolder));
  const choice = chooseRenderer(
    wanted.render,
    folder,
    own.map(({ path }) => path),
  );
  const target = { application, namespace };
  switch (choice.renderer) {
    case "plain":
      return { choice, target: { ...target, files: refusePointers(own.filter(isManifest)) } };
    case "kustomize":
      return { choice, target: { ...target, files: await buildKustomization(tools, folder, filesUnder, signal) } };
    case "helm": {
      if (wanted.helm.once.length > 0)
        throw new RenderRefused(
          "spec.source.helm.once: agents cannot leave a created object as it is yet: give its content in values",
        );
      const inputs = { ...wanted.helm, release: application, namespace };
      const renderings = wanted.isFirst ? 2 : 1;
      const [files = [], again] = await templateChart(tools, folder, filesUnder, inputs, { renderings, signal });
      return { choice, target: { ...target, files, again, isRelease: true } };
    }
  }
}

const isManifest = ({ path }: ManifestFile): boolean => /\.(ya?ml|json)$/.test(path);
