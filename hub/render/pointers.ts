import { isLfsPointer } from "#hub/git/lfs.ts";
import type { ManifestFile } from "#hub/render/objects.ts";
import { RenderRefused } from "#hub/render/render-problem.ts";

/** Refuses files whose content is elsewhere, naming the first: rendered as they are, they would be the pointer's text. */
export function refusePointers<File extends ManifestFile>(files: readonly File[]): readonly File[] {
  const pointer = files.find(({ bytes }) => isLfsPointer(bytes));
  if (pointer === undefined) return files;
  throw new RenderRefused(
    `${pointer.path} is a Git LFS pointer, and the hub fetches nothing from LFS: commit the file itself (git lfs untrack, git add --renormalize)`,
  );
}
