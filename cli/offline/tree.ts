import { relative, resolve } from "node:path";
import { openCheckout, type Checkout, type Files } from "#hub/git/checkout.ts";
import { ContentRefused, fleetLimits } from "#hub/git/contents.ts";
import type { Fleet } from "#hub/fleet/fleet.ts";
import type { FleetProblem } from "#hub/fleet/problem.ts";
import { readFleet } from "#hub/fleet/read.ts";
import { CliError, exitCode, usage } from "#cli/errors.ts";

/** A fleet repository's checkout, at one revision or as it lies there. */
export type FleetTree = {
  readonly checkout: Checkout;
  readonly files: Files;
  /** Its commit; "working tree" for what is not committed. */
  readonly revision: string;
  readonly fleet: Fleet;
  readonly problems: readonly FleetProblem[];
  readonly documents: number;
};

export const workingTree = "working tree";

/** Reads the fleet documents in `folder` of the checkout that holds it. */
export async function openFleetTree(folder: string, searchPath: string, wanted?: string): Promise<FleetTree> {
  const checkout = await openCheckout(folder, searchPath).catch((error: unknown) => {
    if (error instanceof ContentRefused || (error as NodeJS.ErrnoException).code === "ENOENT")
      throw new CliError(
        exitCode.usage,
        error instanceof ContentRefused ? error.message : `there is no folder ${folder}`,
        "name the folder of the fleet documents in a checkout: plumb validate FOLDER, or --fleet FOLDER",
      );
    throw error;
  });
  const { files, revision } = await filesAt(checkout, wanted);
  const within = relative(checkout.root, resolve(folder));
  const problems: FleetProblem[] = [];
  const leaveOut = (message: string): void => void problems.push({ file: within || ".", line: 1, field: "", message });
  const read = await files.contents(within, leaveOut, fleetLimits);
  const reading = readFleet(read);
  return {
    checkout,
    files,
    revision,
    fleet: reading.fleet,
    problems: [...reading.problems, ...problems],
    documents: read.length,
  };
}

export async function filesAt(checkout: Checkout, wanted?: string): Promise<{ files: Files; revision: string }> {
  if (wanted === undefined) return { files: checkout.working, revision: workingTree };
  const commit = await checkout.resolve(wanted);
  if (commit === undefined) throw usage(`${wanted} is no revision of ${checkout.root}`);
  return { files: checkout.at(commit), revision: commit };
}
