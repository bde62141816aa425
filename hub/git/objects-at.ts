import { posix } from "node:path";
import { git, GitFailed, type BareRepository } from "#hub/git/command.ts";
import { strangersLimits } from "#hub/git/limits.ts";
import type { Revision } from "#proto/ids.ts";

/**
 * The object id of each path at a commit, by one process: of a folder its tree, of a file its blob. Equal ids are equal
 * content, whatever the commit. A path that is not there has none, and neither has one that Git would read otherwise.
 */
export async function objectsAt(
  repository: BareRepository,
  commit: Revision,
  paths: readonly string[],
): Promise<Map<string, string>> {
  const asked = paths.filter(isPlain);
  if (asked.length === 0) return new Map();
  const input = asked.map((path) => `${commit}:${path}\n`).join("");
  const lines = (
    await git(repository, ["cat-file", "--batch-check=%(objectname) %(objecttype)"], { input, limits: strangersLimits })
  )
    .toString("utf8")
    .split("\n");
  const found = new Map<string, string>();
  for (const [n, path] of asked.entries()) {
    const line = lines[n] ?? "";
    const [, object] = /^([0-9a-f]{40,64}) (?:tree|blob)$/.exec(line) ?? [];
    if (object !== undefined) found.set(path, object);
    else if (!line.endsWith(" missing")) throw new GitFailed(`git cat-file: cannot read ${JSON.stringify(path)}`);
  }
  return found;
}

/** As Git writes a path itself: nothing to normalise, and one line. */
const isPlain = (path: string): boolean =>
  path === "" || (posix.normalize(path) === path && !/^\.{1,2}(?:\/|$)|\/$|^\/|[\n\0]/.test(path));
