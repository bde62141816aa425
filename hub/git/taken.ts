import { git, type BareRepository } from "#hub/git/command.ts";
import { revision, type Revision } from "#proto/ids.ts";

/**
 * The newest head of each branch that followed from the ones before it, kept in the mirror: what the remote shows may have
 * been rewritten while no hub ran, and a restart must not take it for good.
 */
const folder = "refs/plumbline/taken/";
/** Encoded, in bytes: one name of a file. No Environment follows a longer branch, and a stranger's must not stop a fetch. */
const longestName = 200;

export const isTakeable = (branch: string): boolean => encodeURIComponent(branch).length <= longestName;

/** One name without slashes: `a` that is gone and a new `a/b` must be kept side by side. */
export const takenRef = (branch: string): string => `${folder}${encodeURIComponent(branch)}`;

export async function takenHeads(repository: BareRepository): Promise<Map<string, Revision>> {
  const listed = await git(repository, ["for-each-ref", "--format=%(objectname) %(refname:lstrip=3)", folder]);
  const lines = listed.toString("utf8").split("\n");
  return new Map(
    lines.flatMap((line) => {
      const [commit, name] = line.split(" ");
      return commit === undefined || name === undefined ? [] : [[decodeURIComponent(name), revision(commit)] as const];
    }),
  );
}
