import { validRange } from "semver";
import { z } from "zod";
import { revision } from "#proto/ids.ts";
import { branch } from "../fields.ts";

export const commitId = z
  .string()
  .regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/, { error: "must be a full commit id in lower-case hex" })
  .transform(revision);

const range = z.string().max(250).refine(isRange, { error: "is no range of versions such as >=1.2 <2" });

const named = z
  .strictObject({
    branch: branch.optional(),
    /** One tag, resolved to its commit once; a tag that is moved afterwards is an alarm. */
    tag: branch.optional(),
    /** The highest version among the tags that this range allows. */
    semver: range.optional(),
    commit: commitId.optional(),
  })
  .refine((follow) => Object.values(follow).filter((value) => value !== undefined).length === 1, {
    error: "must say one of branch, tag, semver or commit",
  })
  .transform(({ branch, tag, semver, commit }) => {
    if (branch !== undefined) return branch;
    if (tag !== undefined) return { tag };
    return semver === undefined ? { commit: commit! } : { semver };
  });

/** What revisions are taken from. A text is a branch. */
export const follow = z.union([branch, named], {
  error: "must be a branch, or one of {branch: ...}, {tag: ...}, {semver: ...}, {commit: ...}",
});

/** An empty range would allow everything, and is more likely a value that was left out. */
function isRange(text: string): boolean {
  return text.trim() !== "" && validRange(text) !== null;
}
