import { git, type BareRepository } from "#hub/git/command.ts";
import type { Revision } from "#proto/ids.ts";

/** Those of the commits that are not here, or that `head` does not follow from. */
export async function commitsOutside(
  repository: BareRepository,
  commits: readonly Revision[],
  head: Revision,
): Promise<Revision[]> {
  if (commits.length === 0) return [];
  const listed = async (arguments_: string[], lines: readonly string[]): Promise<string[]> =>
    (await git(repository, arguments_, { input: lines.map((line) => `${line}\n`).join("") }))
      .toString("utf8")
      .split("\n");
  const asked = commits.map((commit) => `${commit}^{commit}`);
  const found = await listed(["cat-file", "--batch-check=%(objectname)"], asked);
  const here = commits.filter((commit, index) => found[index] === commit);
  const strangers = new Set(await listed(["rev-list", "--stdin"], [...here, `^${head}`]));
  return commits.filter((commit) => !here.includes(commit) || strangers.has(commit));
}
