import { git, type BareRepository } from "#hub/git/command.ts";
import { revision, type Revision } from "#proto/ids.ts";

/** What a mirror holds of its remote, and what it remembers of it. */
export type Refs = {
  /** As the remote showed them at the last fetch. */
  readonly branches: ReadonlyMap<string, Revision>;
  /** The commits that tags name; one that names a file or another tag is no revision. */
  readonly tags: ReadonlyMap<string, Revision>;
  /** Of each tag, the object that the remote shows: of an annotated tag its own. */
  readonly tagObjects: ReadonlyMap<string, string>;
  /**
   * The newest head of each followed branch that followed from the ones before it: what the remote shows may have been
   * rewritten while no hub ran, and a restart must not take it for good.
   */
  readonly taken: ReadonlyMap<string, Revision>;
  /** What each tag that was followed named when it was first seen. */
  readonly pinned: ReadonlyMap<string, Revision>;
};

/** Encoded, in bytes: one name of a file. No Environment follows a longer name, and a stranger's must not stop a fetch. */
const longestName = 200;

export const isKeepable = (name: string): boolean => encodeURIComponent(name).length <= longestName;

/** One name without slashes: `a` that is gone and a new `a/b` must be kept side by side. */
export const takenRef = (branch: string): string => `refs/plumbline/taken/${encodeURIComponent(branch)}`;
export const pinnedRef = (tag: string): string => `refs/plumbline/pinned/${encodeURIComponent(tag)}`;
/** Keeps a commit that no branch holds any more. */
export const seenRef = (commit: Revision): string => `refs/plumbline/seen/${commit}`;

/** Where the remote's own refs are put. Nothing else of it is fetched: no replacements, no notes, no requests to merge. */
export const branchesRefspec = "+refs/heads/*:refs/remotes/origin/*";
export const tagsRefspec = "+refs/tags/*:refs/plumbline/tags/*";

const folders = ["refs/remotes/origin", "refs/plumbline/tags", "refs/plumbline/taken", "refs/plumbline/pinned"];
const format = "%(objectname) %(objecttype) %(*objectname) %(*objecttype) %(refname)";

export async function readRefs(repository: BareRepository): Promise<Refs> {
  const listed = (await git(repository, ["for-each-ref", `--format=${format}`, ...folders])).toString("utf8");
  const branches = new Map<string, Revision>();
  const tags = new Map<string, Revision>();
  const tagObjects = new Map<string, string>();
  const taken = new Map<string, Revision>();
  const pinned = new Map<string, Revision>();
  for (const line of listed.split("\n").filter((line) => line !== "")) {
    const [object = "", type, peeled = "", peeledType, ...rest] = line.split(" ");
    // No name of a ref holds a space.
    const name = rest[0] ?? "";
    const named = (folder: string): string => name.slice(folder.length + 1);
    if (name.startsWith("refs/remotes/origin/")) branches.set(named("refs/remotes/origin"), revision(object));
    else if (name.startsWith("refs/plumbline/taken/"))
      taken.set(decodeURIComponent(named("refs/plumbline/taken")), revision(object));
    else if (name.startsWith("refs/plumbline/pinned/"))
      pinned.set(decodeURIComponent(named("refs/plumbline/pinned")), revision(object));
    else {
      const tag = named("refs/plumbline/tags");
      tagObjects.set(tag, object);
      if (type === "commit") tags.set(tag, revision(object));
      else if (peeledType === "commit") tags.set(tag, revision(peeled));
    }
  }
  return { branches, tags, tagObjects, taken, pinned };
}
