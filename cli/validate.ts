import { readdir, readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { describeProblem } from "#hub/fleet/problem.ts";
import { readFleet, type FleetFile } from "#hub/fleet/read.ts";
import { CliError, exitCode } from "#cli/errors.ts";
import { print, type Format } from "#cli/output.ts";

/** `plumb validate [FOLDER]`: reads a checkout's fleet documents as the hub would, without one. */
export async function validate(folder: string, options: { output: Format }): Promise<void> {
  const files = await filesUnder(folder);
  const { fleet, problems } = readFleet(files);
  const counts = `${fleet.clusters.size} clusters, ${fleet.environments.size} environments, ${fleet.applications.size} applications`;
  print(options.output, { folder, files: files.length, problems }, () =>
    problems.length === 0
      ? `${folder} is valid: ${counts}\n`
      : problems.map((problem) => `${describeProblem(problem)}\n`).join(""),
  );
  if (problems.length > 0)
    throw new CliError(
      exitCode.no,
      `${problems.length} ${problems.length === 1 ? "problem" : "problems"} in ${folder}`,
    );
}

async function filesUnder(folder: string): Promise<FleetFile[]> {
  let entries: { parentPath: string; name: string; isFile(): boolean }[];
  try {
    entries = await readdir(folder, { recursive: true, withFileTypes: true });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause;
    throw new CliError(
      exitCode.usage,
      `there is no folder ${folder}`,
      "name the folder of the fleet documents: plumb validate fleet",
    );
  }
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return Promise.all(paths.map(async (path) => ({ path: relative(".", path), bytes: await readFile(path) })));
}
