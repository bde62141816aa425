import { isKeepable, type Refs } from "#hub/git/refs.ts";
import type { Revision } from "#proto/ids.ts";

/** What a fetch found of one branch. */
export type RefMove =
  | { readonly kind: "new"; readonly branch: string; readonly to: Revision }
  | { readonly kind: "forward"; readonly branch: string; readonly from: Revision; readonly to: Revision }
  /** The remote shows an ancestor of what it showed before: Git itself is behind. Publish nothing from it. */
  | { readonly kind: "behind"; readonly branch: string; readonly from: Revision; readonly to: Revision }
  /** Neither ancestor nor descendant: history was rewritten, and a person must accept it. */
  | { readonly kind: "rewritten"; readonly branch: string; readonly from: Revision; readonly to: Revision }
  | { readonly kind: "deleted"; readonly branch: string; readonly from: Revision };

/** What a repository is followed for. */
export type Wants = {
  readonly branches: ReadonlySet<string>;
  readonly tags: boolean;
  /** Commits that a branch may not hold. */
  readonly commits: ReadonlySet<Revision>;
};

type IsAncestor = (older: Revision, newer: Revision) => Promise<boolean>;

/**
 * How each wanted branch differs from its last good head; without wants, each branch there is. What nobody follows may be
 * rewritten at will, as topic branches are.
 */
export async function movesOf(refs: Refs, wants: Wants | undefined, isAncestor: IsAncestor): Promise<RefMove[]> {
  const names = [...(wants?.branches ?? new Set([...refs.branches.keys(), ...refs.taken.keys()]))].filter(isKeepable);
  const found = names.sort().map((name) => moveOf(name, refs.taken.get(name), refs.branches.get(name), isAncestor));
  return (await Promise.all(found)).filter((move) => move !== undefined);
}

async function moveOf(
  branch: string,
  from: Revision | undefined,
  to: Revision | undefined,
  isAncestor: IsAncestor,
): Promise<RefMove | undefined> {
  if (from === to) return undefined;
  if (from === undefined) return to === undefined ? undefined : { kind: "new", branch, to };
  if (to === undefined) return { kind: "deleted", branch, from };
  if (await isAncestor(from, to)) return { kind: "forward", branch, from, to };
  return { kind: (await isAncestor(to, from)) ? "behind" : "rewritten", branch, from, to };
}
