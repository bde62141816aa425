import { git, GitFailed, type BareRepository } from "#hub/git/command.ts";
import { revision, type Revision } from "#proto/ids.ts";

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
  repository: BareRepository,
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
export async function readTagObject(repository: BareRepository, id: string): Promise<Buffer | undefined> {
  const type = (await git(repository, ["cat-file", "-t", id])).toString("latin1").trim();
  return type === "tag" ? git(repository, ["cat-file", "tag", id]) : undefined;
}

export async function readCommits(repository: BareRepository, ids: readonly Revision[]): Promise<RawCommit[]> {
  if (ids.length === 0) return [];
  const output = await git(repository, ["cat-file", "--batch"], { input: ids.map((id) => `${id}\n`).join("") });
  let at = 0;
  return ids.map((id) => {
    const headEnd = output.indexOf(10, at);
    const found = /^([0-9a-f]+) commit (\d+)$/.exec(output.toString("latin1", at, headEnd));
    if (found === null || found[1] !== id) throw new GitFailed(`git cat-file: ${id} is no commit`);
    const from = headEnd + 1;
    at = from + Number(found[2]) + 1;
    return { id, raw: output.subarray(from, at - 1) };
  });
}
