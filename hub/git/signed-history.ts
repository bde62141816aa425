import { git, type BareRepository } from "#hub/git/command.ts";
import { isSignedBy } from "#hub/git/sign.ts";
import { revision, type Revision } from "#proto/ids.ts";

/** More foreign commits in a row than this are no accident: nothing of such a branch is believed. */
const searchedCommits = 1_000;

/** The newest commit on the way back from `from`, along first parents, that this key signed. */
export async function newestSignedBy(
  repository: BareRepository,
  publicKey: string,
  from: Revision,
): Promise<Revision | undefined> {
  const isSigned = async (commit: string): Promise<boolean> =>
    isSignedBy((await git(repository, ["cat-file", "commit", commit])).toString("utf8"), publicKey);
  // Nearly always the head itself, for one process instead of two.
  if (await isSigned(from)) return from;
  const listed = await git(repository, ["rev-list", "--first-parent", `--max-count=${searchedCommits}`, from]);
  for (const commit of listed.toString("utf8").trim().split("\n").slice(1))
    if (await isSigned(commit)) return revision(commit);
  return undefined;
}
