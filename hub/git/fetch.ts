import { rm } from "node:fs/promises";
import { git, GitFailed, type BareRepository, type GitOptions } from "#hub/git/command.ts";
import type { RemoteRefs } from "#hub/git/ls-refs.ts";
import type { Wants } from "#hub/git/moves.ts";
import { branchesRefspec, readRefs, seenRef, tagsRefspec, type Refs } from "#hub/git/refs.ts";
import type { RemoteAccess } from "#hub/git/remote.ts";
import { sweepUnfinished } from "#hub/git/unfinished.ts";

/** What to ask the remote for: the followed branches by name, and tags together, as any of them may be a new version. */
export const prefixesOf = (wants: Wants | undefined): string[] =>
  wants === undefined
    ? ["refs/heads/"]
    : [...[...wants.branches].sort().map((branch) => `refs/heads/${branch}`), ...(wants.tags ? ["refs/tags/"] : [])];

/** Whether the remote shows anything that matters and is not here. */
export function hasMoved(remote: RemoteRefs, refs: Refs, wants: Wants | undefined): boolean {
  const heads = new Map([...remote].filter(([name]) => name.startsWith("refs/heads/")));
  const names = wants?.branches ?? [...refs.branches.keys(), ...[...heads.keys()].map((name) => name.slice(11))];
  for (const name of names) if (heads.get(`refs/heads/${name}`) !== refs.branches.get(name)) return true;
  if (wants?.tags !== true) return false;
  const tags = new Map([...remote].filter(([name]) => name.startsWith("refs/tags/")));
  for (const [name, object] of tags) if (refs.tagObjects.get(name.slice(10)) !== object) return true;
  return [...refs.tagObjects.keys()].some((name) => !tags.has(`refs/tags/${name}`));
}

/**
 * Fetches every branch, and the tags when some are followed. All branches, because a Promotion may name a commit of any;
 * whole, because a head is compared with the ones before it and read while the remote is away.
 */
export async function bringRefs(
  repository: BareRepository,
  url: string,
  wants: Wants | undefined,
  options: RemoteAccess & Pick<GitOptions, "limits" | "signal">,
): Promise<void> {
  const fetch = ["fetch", "--quiet", "--prune", "--no-tags", "--no-recurse-submodules", "--", url];
  const refspecs = wants?.tags === true ? [branchesRefspec, tagsRefspec] : [branchesRefspec];
  const bring = (): Promise<Buffer> => git(repository, [...fetch, ...refspecs], { ...options, warned: refuseShallow });
  await bring().catch(async (error: unknown) => {
    await sweepUnfinished(repository.directory);
    if (!isOtherFormat(error) || (await holdsAnything(repository))) throw error;
    // A repository of SHA-256: only a mirror that is still empty can become one.
    await rm(repository.directory + "/config", { force: true });
    await git(repository, ["init", "--quiet", "--bare", "--object-format=sha256", repository.directory]);
    await bring();
  });
  for (const commit of wants?.commits ?? []) {
    if (await isHere(repository, commit)) continue;
    // No branch holds it, or nobody has it: the environment that names it says so.
    await git(repository, [...fetch, `${commit}:${seenRef(commit)}`], options).catch(() => undefined);
    options.signal?.throwIfAborted();
  }
}

/** Git leaves such branches where they were and calls it a success; without their history no head can be compared with the one before. */
function refuseShallow(warning: string): void {
  if (/shallow roots are not allowed to be updated|shallow update not allowed/i.test(warning))
    throw new GitFailed(
      "git fetch: the repository is a shallow clone, whose history is cut off: give it the whole (git fetch --unshallow, there)",
    );
}

const isOtherFormat = (error: unknown): boolean =>
  error instanceof GitFailed && /mismatched algorithms|object format/i.test(error.message);

async function holdsAnything(repository: BareRepository): Promise<boolean> {
  const { branches, taken } = await readRefs(repository);
  return branches.size + taken.size > 0;
}

const isHere = (repository: BareRepository, commit: string): Promise<boolean> =>
  git(repository, ["cat-file", "-e", `${commit}^{commit}`]).then(
    () => true,
    () => false,
  );
