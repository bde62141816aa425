import { git } from "#hub/git/command.ts";
import type { OpenRepository } from "#hub/git/object-reader.ts";
import { readCommits } from "#hub/git/raw-commits.ts";
import { isSignedBy } from "#hub/git/sign.ts";
import { readCommit, type SignedObject } from "#hub/trust/signed-object.ts";
import { revision, type Revision } from "#proto/ids.ts";

/** More foreign commits than this are no accident: nothing of such a branch is believed. */
const searchedCommits = 1_000;

/** Commits of one key: "ssh-ed25519 AAAA...", and of all that it signs those whose message `isWanted`. */
export type Wanted = { readonly publicKey: string; readonly isWanted: (message: string) => boolean };

/**
 * The newest wanted commit in the history of `from`, wherever others' merges have put it: one that is in another's history
 * is older, whichever parent comes first.
 */
export async function newestWanted(
  repository: OpenRepository,
  from: Revision,
  wanted: Wanted,
): Promise<Revision | undefined> {
  // Nearly always the head itself, which is newer than all of its history.
  if ((await wantedOf(repository, [from], wanted)).length > 0) return from;
  const listed = await git(repository, ["rev-list", `--max-count=${searchedCommits}`, from]);
  const ids = listed.toString("utf8").trim().split("\n").slice(1).map(revision);
  const found = new Map((await wantedOf(repository, ids, wanted)).map(({ id, atMs }) => [id, atMs]));
  if (found.size === 0) return undefined;
  const independent = await git(repository, ["merge-base", "--independent", ...found.keys()]);
  const newest = independent.toString("utf8").trim().split("\n").map(revision);
  // Several only where the branch was set back between them: their own time is signed too.
  return newest.sort((a, b) => found.get(b)! - found.get(a)!)[0];
}

async function wantedOf(
  repository: OpenRepository,
  ids: readonly Revision[],
  { publicKey, isWanted }: Wanted,
): Promise<(Pick<SignedObject, "atMs"> & { readonly id: Revision })[]> {
  const commits = await readCommits(repository, ids);
  return commits.flatMap(({ id, raw }) => {
    const { message, atMs } = readCommit(id, raw);
    return isWanted(message) && isSignedBy(id, raw, publicKey) ? [{ id, atMs }] : [];
  });
}
