import type { Actions } from "#hub/api/actions.ts";
import { keptDropped } from "#hub/decide/rewrites.ts";
import { recordBranch } from "#hub/loop/records.ts";
import type { Source } from "#hub/loop/sources.ts";
import { describeStop, type Stop } from "#hub/loop/stops.ts";
import type { Revision } from "#proto/ids.ts";
import type { ActionParts } from "./parts.ts";
import { refuse, type Refusal } from "./refusal.ts";

/** A person's word that a rewritten or rewound branch is meant: written down first, so that it outlives this hub. */
export function createAcceptRewrite(parts: ActionParts): Actions["acceptRewrite"] {
  const { records, clock } = parts;
  return async (actor, { repository, branch, to, reason }) => {
    const source = parts.sourceByName(repository);
    if (source === undefined)
      return refuse(404, `no repository ${repository} is followed`, "name a Repository, or fleet for the fleet's own");
    await source.following.look();
    await parts.refresh();
    const stop = chosen(source, branch);
    if ("ok" in stop) return stop;
    const target: Revision | "" = "to" in stop ? stop.to : "";
    if (target === "" && !stop.branch.startsWith("refs/tags/"))
      return refuse(409, describeStop(stop), `push it again: git push REMOTE ${stop.from}:refs/heads/${stop.branch}`);
    if (to !== undefined && (to.length < 4 || !target.startsWith(to)))
      return refuse(
        409,
        `${stop.branch} of ${repository} is at ${target.slice(0, 12) || "nothing"}, not at ${to}`,
        "look again",
      );
    const dropped = target === "" ? [] : await droppedBy(source, stop, target, parts.inUse(source));
    const by = actor.name;
    const rewrite = { branch: stop.branch, from: stop.from, to: target, dropped, by, reason, atMs: clock.now() };
    await records.acceptRewrite(source.name, rewrite);
    await source.accept(stop.branch);
    await parts.round();
    const file = `rewrites/${source.name}.yaml`;
    return { ok: true, commit: records.now().commit, file, branch: stop.branch, from: stop.from, to: target };
  };
}

/** The record takes care of itself: only what a hub that started anew cannot prove is for people to say. */
const isForPeople = ({ branch, kind }: Stop): boolean => branch !== recordBranch || kind === "unproved";

function chosen(source: Source, branch: string | undefined): Stop | Refusal {
  const stops = source.stops().filter(isForPeople);
  const found = branch === undefined ? stops : stops.filter((stop) => stop.branch === branch);
  const [first, ...others] = found;
  if (first === undefined)
    return refuse(
      409,
      `${branch ?? "no branch"} of ${source.name} is ${branch === undefined ? "" : "not "}stopped: there is nothing to accept`,
      "plumb status shows what is",
    );
  if (others.length > 0)
    return refuse(
      409,
      `${found.length} of ${source.name} are stopped: ${found.map(({ branch }) => branch).join(", ")}`,
      "name one of them",
    );
  return first;
}

/** What clusters run and the new history does not hold: known to be left behind, also to a hub that starts anew. */
async function droppedBy(source: Source, stop: Stop, to: Revision, inUse: Iterable<Revision>): Promise<Revision[]> {
  const lost = stop.kind === "unproved" ? stop.lost : [];
  const outside = await source.mirror.outside([...new Set(inUse)], to);
  return [...new Set([...lost, ...outside])].filter((commit) => commit !== stop.from).slice(0, keptDropped);
}
