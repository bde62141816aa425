import { git, type BareRepository } from "#hub/git/command.ts";
import { readRefs, seenRef } from "#hub/git/refs.ts";
import type { Revision } from "#proto/ids.ts";

/** Longer than any fetch or rendering takes: what is younger may be in somebody's hands. */
const prunedAfter = "2.days.ago";

/**
 * Packs what many fetches brought, and drops what nobody needs: commits that no branch of the remote holds any more, that
 * were not taken, and that are not in use. Those in use are kept by refs of their own, and no others are: without a
 * rewritten branch there are none.
 */
export async function tidyMirror(
  repository: BareRepository,
  inUse: Iterable<Revision>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const run = async (arguments_: string[], lines: readonly string[] = []): Promise<string[]> =>
    (await git(repository, arguments_, { input: lines.map((line) => `${line}\n`).join(""), signal }))
      .toString("utf8")
      .split("\n")
      .filter((line) => line !== "");
  const used = [...new Set(inUse)];
  const found = await run(["cat-file", "--batch-check=%(objecttype) %(objectname)"], used);
  const here = used.filter((commit, index) => found[index] === `commit ${commit}`);
  const refs = await readRefs(repository);
  const held = new Set([refs.branches, refs.taken, refs.pinned, refs.tags].flatMap((map) => [...map.values()]));
  const beyond = new Set(
    here.length === 0 ? [] : await run(["rev-list", "--stdin"], [...here, ...[...held].map((commit) => `^${commit}`)]),
  );
  const wanted = new Set(here.filter((commit) => beyond.has(commit)).map(seenRef));
  const kept = new Set(await run(["for-each-ref", "--format=%(refname)", "refs/plumbline/seen"]));
  await run(
    ["update-ref", "--stdin"],
    [
      ...[...wanted]
        .filter((ref) => !kept.has(ref))
        .map((ref) => `create ${ref} ${ref.slice(ref.lastIndexOf("/") + 1)}`),
      ...[...kept].filter((ref) => !wanted.has(ref)).map((ref) => `delete ${ref}`),
    ],
  );
  await run(["gc", "--quiet", `--prune=${prunedAfter}`]);
}
