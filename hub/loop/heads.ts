import { describeFollow, type Follow, type Stopped } from "#hub/decide/inputs.ts";
import type { Rewrite } from "#hub/decide/rewrites.ts";
import type { Mirror } from "#hub/git/mirror.ts";
import type { RefMove } from "#hub/git/moves.ts";
import { describeStop, type Stop } from "#hub/loop/stops.ts";
import { chooseTag, type TagFollow } from "#hub/loop/tags.ts";
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import type { Revision } from "#proto/ids.ts";

/** Where everything that is followed in one repository stands. */
export type Heads = {
  /** The newest head that follows from the ones before it. */
  head(branch: string): Revision | undefined;
  /** Where what is followed stands; a branch or tag whose history is not what it was is stopped. */
  at(follow: Follow): Revision | Stopped | undefined;
  /** Where it stands whether or not it is stopped. */
  standing(follow: Follow): Revision | undefined;
  /** The branch, or `refs/tags/NAME`, that is followed; "" for a commit. */
  branchOf(follow: Follow): string;
  stops(): readonly Stop[];
  /** Takes what a fetch found. Gives what is news. */
  take(moves: readonly RefMove[]): Promise<{ readonly moves: readonly RefMove[]; readonly isNews: boolean }>;
  /** The hub's own commit stands there now. */
  set(branch: string, head: Revision): void;
  /** Clusters were given these commits, and what is followed does not follow from them; none: it does. */
  doubt(follow: Follow, lost: readonly Revision[]): void;
  /** A person accepted what the remote shows. */
  accept(branch: string): Promise<RefMove | undefined>;
  /** What people accepted already, as a restart finds it. */
  acceptRecorded(newest: (branch: string) => Rewrite | undefined): Promise<RefMove[]>;
};

export type HeadsOptions = {
  readonly repository: string;
  readonly mirror: Mirror;
  readonly follows: () => readonly Follow[];
  readonly clock: Clock;
  readonly log: Log;
};

const tagFolder = "refs/tags/";
const isTag = (branch: string): boolean => branch.startsWith(tagFolder);
const isGood = ({ kind }: RefMove): boolean => kind === "new" || kind === "forward";

/** Begins where an earlier run was, whatever the remote shows by now. */
export async function openHeads({ repository, mirror, follows, clock, log }: HeadsOptions): Promise<Heads> {
  const heads = new Map<string, Revision>(await mirror.taken());
  /** Of tags and commits, by what follows them. */
  const places = new Map<string, { readonly at: Revision; readonly branch: string }>();
  const stops = new Map<string, Stop>();

  const stopAt = (stop: Stop): void => {
    const before = stops.get(stop.branch);
    const isOld = before?.kind === stop.kind;
    stops.set(stop.branch, isOld ? { ...stop, sinceMs: before.sinceMs } : stop);
    if (!isOld) log.error({ repository, branch: stop.branch }, describeStop(stop));
  };

  const takeBranches = (moves: readonly RefMove[]): RefMove[] => {
    const news = moves.filter((move) => stops.get(move.branch)?.kind !== move.kind);
    const bad = new Set(moves.filter((move) => !isGood(move)).map(({ branch }) => branch));
    for (const [branch, { kind }] of stops)
      if (kind !== "unproved" && !isTag(branch) && !bad.has(branch)) stops.delete(branch);
    for (const move of moves) {
      if (move.kind === "new" || move.kind === "forward") heads.set(move.branch, move.to);
      else stopAt({ repository, sinceMs: clock.now(), ...move });
    }
    return news;
  };

  const placeTag = async (follow: TagFollow): Promise<void> => {
    const choice = chooseTag(follow, await mirror.refs());
    if (choice === undefined) return;
    const { tag, commit, isPinned, shown } = choice;
    const branch = `${tagFolder}${tag}`;
    if (!isPinned) await mirror.pin(tag, commit);
    places.set(describeFollow(follow), { at: commit, branch });
    const stop = { repository, branch, from: commit, sinceMs: clock.now() };
    if (shown === undefined) stopAt({ ...stop, kind: "deleted" });
    else if (shown !== commit) stopAt({ ...stop, kind: "moved", to: shown });
    else if (stops.get(branch)?.kind !== "unproved") stops.delete(branch);
  };

  const place = async (): Promise<void> => {
    const now = follows();
    const wanted = new Set(now.map(describeFollow));
    for (const key of places.keys()) if (!wanted.has(key)) places.delete(key);
    for (const follow of now) {
      if (typeof follow === "string") continue;
      if (!("commit" in follow)) await placeTag(follow);
      else if ((await mirror.resolve(follow.commit)) !== undefined)
        places.set(describeFollow(follow), { at: follow.commit, branch: "" });
    }
    const tags = new Set([...places.values()].map(({ branch }) => branch));
    for (const branch of stops.keys()) if (isTag(branch) && !tags.has(branch)) stops.delete(branch);
  };

  const shown = (): string =>
    JSON.stringify([[...places], [...stops.values()].map(({ branch, kind }) => [branch, kind])]);
  const branchOf = (follow: Follow): string =>
    typeof follow === "string" ? follow : (places.get(describeFollow(follow))?.branch ?? "");
  const standing = (follow: Follow): Revision | undefined =>
    typeof follow === "string" ? heads.get(follow) : places.get(describeFollow(follow))?.at;

  const accept: Heads["accept"] = async (branch) => {
    const stop = stops.get(branch);
    if (stop === undefined || stop.kind === "unproved") return undefined;
    const to = "to" in stop ? stop.to : undefined;
    if (isTag(branch)) await mirror.pin(branch.slice(tagFolder.length), to);
    else if (to === undefined) return undefined;
    else {
      await mirror.take(branch, to);
      heads.set(branch, to);
    }
    stops.delete(branch);
    await place();
    return to === undefined
      ? { kind: "deleted", branch, from: stop.from }
      : { kind: "forward", branch, from: stop.from, to };
  };

  return {
    head: (branch) => heads.get(branch),
    at(follow) {
      const stop = stops.get(branchOf(follow));
      return stop === undefined ? standing(follow) : { because: describeStop(stop) };
    },
    standing,
    branchOf,
    stops: () => [...stops.values()],
    async take(found) {
      const before = shown();
      const moves = takeBranches(found);
      await place();
      return { moves, isNews: shown() !== before };
    },
    set: (branch, head) => void heads.set(branch, head),
    doubt(follow, lost) {
      const branch = branchOf(follow);
      const [from] = lost;
      const to = standing(follow);
      if (from !== undefined && to !== undefined)
        stopAt({ repository, branch, kind: "unproved", from, to, lost, sinceMs: clock.now() });
      else if (stops.get(branch)?.kind === "unproved") stops.delete(branch);
    },
    accept,
    async acceptRecorded(newest) {
      const accepted: RefMove[] = [];
      // What is accepted leaves the map, which may be walked all the same.
      for (const stop of stops.values()) {
        const word = newest(stop.branch);
        if (word === undefined || word.from !== stop.from) continue;
        const to = "to" in stop ? stop.to : "";
        const isMeant =
          word.to === to || (word.to !== "" && to !== "" && (await mirror.outside([word.to], to)).length === 0);
        const move = isMeant ? await accept(stop.branch) : undefined;
        if (move !== undefined) accepted.push(move);
      }
      return accepted;
    },
  };
}
