import { git, GitFailed, type BareRepository } from "#hub/git/command.ts";
import type { OpenRepository } from "#hub/git/object-reader.ts";
import { readCommit } from "#hub/trust/signed-object.ts";
import { revision, type Revision } from "#proto/ids.ts";

/** Of a commit or a tag: what people write into one is a thousandth of it. */
const longestObject = 16 * 1024 * 1024;

export type RawCommit = { readonly id: Revision; readonly raw: Buffer };

/** Commits as they are stored, newest first, and whether there are more than were asked for. */
export type CommitWalk = { readonly commits: readonly RawCommit[]; readonly isCut: boolean };

export type WalkOptions = {
  /** These and all before them are left out; one that is not here is passed over. */
  readonly since: readonly Revision[];
  readonly limit: number;
};

/**
 * The commits that lead to `tip`, by every parent of each merge. Throws GitFailed when `tip` is not here, or when they
 * are more than git may answer with.
 */
export async function walkCommits(
  repository: OpenRepository,
  tip: Revision,
  { since, limit }: WalkOptions,
): Promise<CommitWalk> {
  await git(repository, ["cat-file", "-e", `${tip}^{commit}`]);
  const revisions = [tip, ...since.map((commit) => `^${commit}`)].join("\n");
  const list = ["rev-list", "--ignore-missing", "--topo-order", `--max-count=${limit + 1}`, "--stdin"];
  const listed = (await git(repository, list, { input: `${revisions}\n` })).toString("latin1");
  const ids = listed.split("\n").filter((line) => line !== "");
  const commits = await readCommits(repository, ids.slice(0, limit).map(revision));
  return { commits, isCut: ids.length > limit };
}

/** A push of more commits than this is rare, and one process that walks them all is then quicker. */
const soonCommits = 16;

/** Whether `older` is among the first few commits that lead to `newer`: most heads follow from the last one so. */
export async function isSoonBefore(repository: OpenRepository, older: Revision, newer: Revision): Promise<boolean> {
  let at = newer;
  for (let n = 0; n < soonCommits; n += 1) {
    const [found] = await repository.objects.read([at], longestObject);
    if (found?.type !== "commit") return false;
    const { parents } = readCommit(at, found.bytes);
    if (parents.includes(older)) return true;
    const [first] = parents;
    if (first === undefined) return false;
    at = revision(first);
  }
  return false;
}

/** The commit that last changed a file, as `at` has it; a merge counts when it differs from any parent. */
export async function lastChange(
  repository: BareRepository,
  at: Revision,
  path: string,
): Promise<Revision | undefined> {
  const arguments_ = ["rev-list", "--full-history", "--max-count=1", at, "--", `:(literal)${path}`];
  const found = (await git(repository, arguments_)).toString("latin1").trim();
  return found === "" ? undefined : revision(found);
}

/** What a tag's name points at: an annotated tag as it is stored, or undefined for a light one, which nobody can sign. */
export async function readTagObject({ objects }: OpenRepository, id: string): Promise<Buffer | undefined> {
  const [described] = await objects.describe([id]);
  if (described === undefined) throw new GitFailed(`git cat-file: ${id} is not here`);
  if (described.type !== "tag") return undefined;
  return (await objects.read([id], longestObject))[0]?.bytes;
}

export async function readCommits({ objects }: OpenRepository, ids: readonly Revision[]): Promise<RawCommit[]> {
  const found = await objects.read(ids, longestObject);
  return ids.map((id, n) => {
    const object = found[n];
    if (object?.type !== "commit" || object.id !== id) throw new GitFailed(`git cat-file: ${id} is no commit`);
    return { id, raw: object.bytes };
  });
}
