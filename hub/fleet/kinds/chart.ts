import { z } from "zod";
import { name, path } from "../fields.ts";

const version = z.string().regex(/^v?\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?$/, {
  error: "must be one version such as 1.2.3: a range would be another chart tomorrow",
});

/**
 * Where a chart comes from when it does not lie in the Application's `path`: another folder of the same repository, a folder
 * of another Git repository at a commit, or a chart that somebody published under a version.
 */
export const chart = z
  .strictObject({
    repository: name.optional(),
    path: path.optional(),
    /** Of another Git repository: a branch or a tag may move, a commit does not. */
    revision: z
      .string()
      .regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/, { error: "must be a whole commit id: 40 or 64 hex digits" })
      .optional(),
    name: z
      .string()
      .max(250)
      .regex(/^[A-Za-z0-9][\w.-]*$/, { error: "is no name of a chart" })
      .optional(),
    version: version.optional(),
    /** Of the archive. Without it the hub records the one that it sees first. */
    digest: z
      .string()
      .regex(/^sha256:[0-9a-f]{64}$/, { error: "must be sha256: and 64 hex digits" })
      .optional(),
  })
  .superRefine((chart, context) => {
    const refuse = (message: string): void => context.addIssue({ code: "custom", message });
    const { repository, path, revision, name, version, digest } = chart;
    const published = [name, version, digest].some((field) => field !== undefined);
    if (path !== undefined) {
      if (published) refuse("has a path in Git: name, version and digest are of charts that are published");
      else if (repository !== undefined && revision === undefined)
        refuse("is of another Git repository: say its revision, a commit id");
      else if (repository === undefined && revision !== undefined)
        refuse("lies in the Application's own repository, whose revision it has: take revision out");
    } else if (revision !== undefined) refuse("has a revision and no path");
    else if (repository === undefined || name === undefined || version === undefined)
      refuse("must say repository, name and version, or the path of a chart in Git");
  })
  .transform(({ repository, path, revision, name, version, digest }): DeclaredChart =>
    path === undefined
      ? { from: "archive", repository: repository!, name: name!, version: version!, digest: digest ?? null }
      : { from: "git", repository: repository ?? null, path, revision: revision ?? null },
  );

export type DeclaredChart =
  | {
      readonly from: "git";
      readonly repository: string | null;
      readonly path: string;
      readonly revision: string | null;
    }
  | {
      readonly from: "archive";
      readonly repository: string;
      readonly name: string;
      readonly version: string;
      readonly digest: string | null;
    };
