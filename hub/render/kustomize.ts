import { gatherKustomization, type FilesUnder } from "#hub/render/gather.ts";
import type { ManifestFile } from "#hub/render/objects.ts";
import type { Tools } from "#hub/render/tools.ts";
import { inWorkplace } from "#hub/render/workplace.ts";

/** `kustomize build` of a folder at a commit. Plugins, exec functions and Helm are off; nothing is fetched. */
export async function buildKustomization(
  tools: Tools,
  folder: string,
  filesUnder: FilesUnder,
  signal?: AbortSignal,
): Promise<ManifestFile[]> {
  const files = await gatherKustomization(folder, filesUnder);
  return await inWorkplace(files, async (root) => {
    const bytes = await tools.run("kustomize", ["build", folder || "."], root, signal);
    return [{ path: `kustomize build ${folder || "."}`, bytes }];
  });
}
