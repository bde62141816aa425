import { posix } from "node:path";
import { GitFailed } from "#hub/git/command.ts";
import type { OpenRepository } from "#hub/git/object-reader.ts";
import type { Revision } from "#proto/ids.ts";

/**
 * The object id of each path at a commit: of a folder its tree, of a file its blob. Equal ids are equal content, whatever
 * the commit. A path that is not there has none, and neither has one that Git would read otherwise.
 */
export async function objectsAt(
  { objects }: OpenRepository,
  commit: Revision,
  paths: readonly string[],
): Promise<Map<string, string>> {
  const asked = paths.filter(isPlain);
  const answers = await objects.describe(asked.map((path) => `${commit}:${path}`));
  const found = new Map<string, string>();
  for (const [n, object] of answers.entries()) {
    if (object === undefined) continue;
    // Of a submodule git knows the name, and mostly nothing more.
    if (object.type !== "tree" && object.type !== "blob")
      throw new GitFailed(`git cat-file: cannot read ${JSON.stringify(asked[n])}`);
    found.set(asked[n]!, object.id);
  }
  return found;
}

/** As Git writes a path itself: nothing to normalise, and one line. */
const isPlain = (path: string): boolean =>
  path === "" || (posix.normalize(path) === path && !/^\.{1,2}(?:\/|$)|\/$|^\/|[\n\0]/.test(path));
