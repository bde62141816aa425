import { gatherKustomization, type FilesUnder } from "#hub/render/gather.ts";
import type { ManifestFile } from "#hub/render/objects.ts";
import type { Tools } from "#hub/render/tools.ts";
import { inWorkplace } from "#hub/render/workplace.ts";

/** What came out, and the files that say what they hold, for people who look for mistakes in them. */
export type Built = { readonly files: ManifestFile[]; readonly sources: readonly ManifestFile[] };

/** `kustomize build` of a folder at a commit. Plugins, exec functions and Helm are off; nothing is fetched. */
export async function buildKustomization(
  tools: Tools,
  folder: string,
  filesUnder: FilesUnder,
  signal?: AbortSignal,
): Promise<Built> {
  const { files, sources } = await gatherKustomization(folder, filesUnder);
  return await inWorkplace(files, async (root) => {
    const bytes = await tools.run("kustomize", ["build", "--", folder || "."], root, signal);
    return { files: [{ path: `kustomize build ${folder || "."}`, bytes }], sources };
  });
}
