import { GitFailed } from "#hub/git/command.ts";
import type { Seen, Shape } from "#hub/loop/kept-renderings.ts";
import type { Job } from "#hub/loop/render-job.ts";

/** What the shapes of some jobs look at, at the one commit that they share: the object ids of all in one question. */
export async function lookAt(
  jobs: readonly Job[],
  shapesOf: (job: Job) => Promise<readonly Shape[]>,
): Promise<(job: Job) => Seen> {
  const paths = new Set(jobs.map(({ wanted }) => wanted.folder));
  for (const job of jobs) for (const shape of await shapesOf(job)) for (const path of shape.paths) paths.add(path);
  const [first] = jobs;
  const objects = await first!.source.mirror
    .objects(first!.target.revision, [...paths])
    .catch((error: unknown): ReadonlyMap<string, string> => {
      // Rendering reads the same repository, and says what is wrong with it.
      if (error instanceof GitFailed) return new Map();
      throw error;
    });
  return (job) => ({ objects, parameters: job.wanted.parameters ?? {} });
}

/** The same world with these paths in it; what was seen of them before is not asked for again. */
export const seenOf = async ({ source, target, wanted }: Job, paths: readonly string[], seen: Seen): Promise<Seen> => ({
  objects: paths.every((path) => seen.objects.has(path))
    ? seen.objects
    : await source.mirror.objects(target.revision, paths),
  parameters: wanted.parameters ?? {},
});
