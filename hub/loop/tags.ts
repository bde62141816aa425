import { compareBuild, parse, satisfies } from "semver";
import type { Follow } from "#hub/decide/inputs.ts";
import type { Refs } from "#hub/git/refs.ts";
import type { Revision } from "#proto/ids.ts";

export type TagFollow = Exclude<Follow, string | { commit: Revision }>;

/** The tag that is followed now. */
export type Choice = {
  readonly tag: string;
  /** What it named when it was first seen. */
  readonly commit: Revision;
  readonly isPinned: boolean;
  /** What the remote shows it to name now; undefined when it is gone. */
  readonly shown: Revision | undefined;
};

/**
 * A tag that was followed once stays a candidate when it is gone: taking it away must not roll a fleet back in silence.
 * Undefined when there is none.
 */
export function chooseTag(follow: TagFollow, { tags, pinned }: Pick<Refs, "tags" | "pinned">): Choice | undefined {
  const names =
    "tag" in follow ? [follow.tag] : highestFirst(follow.semver, new Set([...tags.keys(), ...pinned.keys()]));
  const tag = names[0] ?? "";
  const commit = pinned.get(tag) ?? tags.get(tag);
  if (commit === undefined) return undefined;
  return { tag, commit, isPinned: pinned.has(tag), shown: tags.get(tag) };
}

/** `v1.2.3` is the version 1.2.3, as in most repositories; pre-releases only where the range names one, as npm has it. */
function highestFirst(range: string, names: ReadonlySet<string>): string[] {
  const allowed = [...names].filter((name) => parse(name) !== null && satisfies(name, range));
  return allowed.sort((a, b) => compareBuild(b, a) || (a < b ? -1 : 1));
}
