import { maxProblems } from "#hub/fleet/document.ts";
import type { Fleet } from "#hub/fleet/fleet.ts";
import { keepLastGood } from "#hub/fleet/last-good.ts";
import { describeProblem, type FleetProblem } from "#hub/fleet/problem.ts";
import { fleetReader, type FleetReading } from "#hub/fleet/read.ts";
import { ContentRefused, fleetLimits } from "#hub/git/contents.ts";
import type { Source } from "#hub/loop/sources.ts";
import type { Log } from "#lib/log.ts";
import type { Revision } from "#proto/ids.ts";

export type FleetHeadParts = {
  readonly fleetSource: Source;
  readonly branch: string;
  readonly folder: string;
  /** Follows the repositories that a fleet names, and no others. */
  readonly openSources: (fleet: Fleet) => Promise<void>;
  readonly log: Log;
};

/** The fleet as its repository's newest commit says, and as it was before where that cannot be read. */
export type FleetState = {
  readonly fleet: Fleet;
  readonly fleetCommit: Revision | undefined;
  readonly problems: readonly FleetProblem[];
  /** The newest commit, also where its documents cannot be read: of it are the manifests that lie beside them. */
  readonly newest: Revision | undefined;
};

export type FleetHead = {
  now(): FleetState;
  /** Reads the newest commit, if it is another. */
  load(): Promise<void>;
};

export function createFleetHead(parts: FleetHeadParts): FleetHead {
  const { fleetSource, branch, folder, log } = parts;
  const read = fleetReader();
  let state: FleetState = { fleet: fleetReader()([]).fleet, fleetCommit: undefined, problems: [], newest: undefined };
  /** A head whose folder cannot be read at all, so that it is not tried at each round. */
  let refused: Revision | undefined;
  /** Of the fleet's folder, as it was read last; undefined after one that could not be read. */
  let readTree: string | undefined;

  return {
    now: () => state,
    async load() {
      const head = fleetSource.head(branch);
      if (head === undefined) return;
      if (head === state.fleetCommit || head === refused) {
        state = { ...state, newest: head };
        return;
      }
      // Most commits of a repository that holds manifests too change none of the fleet's documents.
      const tree = (await fleetSource.mirror.objects(head, [folder])).get(folder);
      if (tree !== undefined && tree === readTree) {
        state = { ...state, fleetCommit: head, newest: head };
        return;
      }
      const reading = await readFleetAt(parts, head, read);
      if (!reading.ok) {
        refused = head;
        readTree = undefined;
        log.error(
          { because: reading.problem.message },
          "the fleet's folder cannot be read; everything is left as it was",
        );
        state = { ...state, problems: [reading.problem], newest: head };
        return;
      }
      const { fleet, problems } = reading;
      for (const problem of problems)
        log.warn({ problem: describeProblem(problem) }, "a fleet document is left as it was");
      readTree = tree;
      state = { fleet: keepLastGood(fleet, state.fleet), fleetCommit: head, problems, newest: head };
      await parts.openSources(state.fleet);
    },
  };
}

type Reading = ({ readonly ok: true } & FleetReading) | { readonly ok: false; readonly problem: FleetProblem };

/** A folder over a limit stops the fleet where it is; a link in it is one problem beside the others. */
async function readFleetAt(
  { fleetSource, folder }: FleetHeadParts,
  head: Revision,
  read: ReturnType<typeof fleetReader>,
): Promise<Reading> {
  const problemOf = (message: string): FleetProblem => ({ file: folder || ".", line: 1, field: "", message });
  const leftOut: FleetProblem[] = [];
  try {
    const leaveOut = (because: string): void => void leftOut.push(problemOf(because));
    const files = await fleetSource.mirror.contents(head, folder, leaveOut, fleetLimits);
    const { fleet, problems } = read(files);
    return { ok: true, fleet, problems: [...problems, ...leftOut.slice(0, maxProblems)] };
  } catch (error) {
    if (!(error instanceof ContentRefused)) throw error;
    return { ok: false, problem: problemOf(error.message) };
  }
}
