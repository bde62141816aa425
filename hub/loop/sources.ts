import { join } from "node:path";
import type { Follow } from "#hub/decide/inputs.ts";
import type { Rewrite } from "#hub/decide/rewrites.ts";
import { redact } from "#hub/git/address.ts";
import type { BlobCache } from "#hub/git/blob-cache.ts";
import type { Connections } from "#hub/git/connections.ts";
import { follow, type Following } from "#hub/git/follow.ts";
import { openMirror, type Mirror } from "#hub/git/mirror.ts";
import type { RefMove, Wants } from "#hub/git/moves.ts";
import type { GitChange, Pushed } from "#hub/git/push.ts";
import type { GitSigner } from "#hub/git/sign.ts";
import type { RemoteAccess } from "#hub/loop/credentials.ts";
import { openHeads, type Heads } from "#hub/loop/heads.ts";
import type { Clock } from "#lib/clock.ts";
import { reasonOf, type Log } from "#lib/log.ts";
import type { Revision } from "#proto/ids.ts";
import { sha256Hex } from "#proto/json.ts";

/** One followed repository: its mirror, and the heads that are taken from it. */
export type Source = Pick<Heads, "head" | "at" | "standing" | "branchOf" | "stops" | "doubt"> & {
  readonly name: string;
  readonly url: string;
  readonly mirror: Mirror;
  readonly following: Following;
  readonly follows: () => readonly Follow[];
  /** Commits and pushes; the head is then this commit. */
  commit(change: GitChange, signer: GitSigner): Promise<Pushed>;
  /** A person accepted what the remote shows. */
  accept(branch: string): Promise<void>;
  /** Goes on where people accepted it already, as a restart finds it. */
  acceptRecorded(newest: (branch: string) => Rewrite | undefined): Promise<void>;
  /** Looks no more, and ends a look that runs. Its mirror stays. */
  stop(): Promise<void>;
  /** Why the last look failed; empty after one that did not. */
  problem(): string;
};

export type SourceOptions = {
  readonly dataFolder: string;
  /** The PATH in which git and ssh are found. */
  readonly searchPath: string;
  /** The program that limits what git may use, if there is one. */
  readonly prlimit?: string | undefined;
  readonly allowedHosts: ReadonlySet<string>;
  /** Asks over these whether anything moved. */
  readonly connections?: Connections;
  /** Content of files that were read lately, of all repositories together. */
  readonly blobs?: BlobCache;
  readonly intervalMs: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Revisions that clusters, the record and Promotions name: they are kept, whatever becomes of their branches. */
  readonly inUse?: (source: Source) => Iterable<Revision>;
  /** A head moved, stopped, or goes on. */
  readonly onMove: (source: Source, moves: readonly RefMove[]) => void;
};

/** Where a repository lies, what it takes to get in, and what is followed of it: asked at each look. */
export type SourceAccess = {
  readonly name: string;
  readonly url: string;
  readonly remote: Partial<RemoteAccess>;
  readonly follows: () => readonly Follow[];
};

/** A mirror is tidied once a day, and sooner when it is pushed to all the time: a fetch leaves a pack, or loose objects. */
const tidyEveryMs = 24 * 3_600_000;
const fetchesBetweenTidies = 500;

export async function openSource(access: SourceAccess, options: SourceOptions): Promise<Source> {
  const { name, url, follows } = access;
  const { clock, log } = options;
  const stopped = new AbortController();
  const signal = AbortSignal.any([options.signal, stopped.signal]);
  // A mirror has one owner: two Repositories of one address have credentials of their own, and what each may read.
  const folder = sha256Hex(`${name} ${url}`).slice(0, 16);
  const mirror = await openMirror({
    url,
    ...access.remote,
    directory: join(options.dataFolder, "git", `${folder}.git`),
    allowedHosts: options.allowedHosts,
    searchPath: options.searchPath,
    prlimit: options.prlimit,
    ...(options.connections && { connections: options.connections }),
    ...(options.blobs && { blobs: options.blobs }),
    wants: () => wantsOf(follows()),
  });
  const heads = await openHeads({ repository: name, mirror, follows, clock, log });
  let problem = "";
  let fetches = 0;
  let tidiedAtMs = clock.monotonic();
  const look = async (signal: AbortSignal, isHinted: boolean): Promise<readonly RefMove[]> => {
    const { moves, isNews } = await heads.take(await mirror.fetch(signal, isHinted));
    // Also when nothing moved: a remote that is back is no problem any more.
    problem = "";
    // A tag that is new or moved, and a branch that is good again, moved no branch.
    if (isNews && moves.length === 0) options.onMove(source, []);
    await tidyWhenDue(moves.length > 0, signal);
    return moves;
  };
  const tidyWhenDue = async (moved: boolean, signal: AbortSignal): Promise<void> => {
    if (moved) fetches += 1;
    const isDue = fetches >= fetchesBetweenTidies || clock.monotonic() - tidiedAtMs >= tidyEveryMs;
    if (!isDue || options.inUse === undefined) return;
    fetches = 0;
    tidiedAtMs = clock.monotonic();
    await mirror.tidy(options.inUse(source), signal).catch((error: unknown) => {
      signal.throwIfAborted();
      log.warn({ repository: name, because: reasonOf(error) }, "a mirror was not tidied; it is tried again in a day");
    });
  };
  const source: Source = {
    name,
    url,
    mirror,
    follows,
    head: (branch) => heads.head(branch),
    at: (follow) => heads.at(follow),
    standing: (follow) => heads.standing(follow),
    branchOf: (follow) => heads.branchOf(follow),
    stops: () => heads.stops(),
    doubt: (follow, lost) => heads.doubt(follow, lost),
    async commit(change, signer) {
      const pushed = await mirror.commit(change, signer, clock.now(), signal);
      if (pushed.kind === "pushed") {
        const { branch } = change;
        const from = heads.head(branch);
        const to = pushed.commit;
        heads.set(branch, to);
        options.onMove(source, [
          from === undefined ? { kind: "new", branch, to } : { kind: "forward", branch, from, to },
        ]);
      }
      return pushed;
    },
    async accept(branch) {
      const move = await heads.accept(branch);
      if (move !== undefined) options.onMove(source, [move]);
    },
    async acceptRecorded(newest) {
      const moves = await heads.acceptRecorded(newest);
      if (moves.length > 0) options.onMove(source, moves);
    },
    problem: () => problem,
    stop() {
      stopped.abort(new Error(`${name} is followed at another address`));
      return source.following.ended;
    },
    following: follow({
      mirror: { fetch: look },
      clock,
      intervalMs: options.intervalMs,
      signal,
      onMoves: (moves) => options.onMove(source, moves),
      onProblem: (error, attempt) => {
        problem = redact(reasonOf(error));
        if (attempt === 1 || attempt % 10 === 0)
          log.warn({ repository: name, problem }, "repository not reachable; what was fetched is kept");
      },
    }),
  };
  return source;
}

const wantsOf = (follows: readonly Follow[]): Wants => ({
  branches: new Set(follows.filter((follow) => typeof follow === "string")),
  tags: follows.some((follow) => typeof follow !== "string" && !("commit" in follow)),
  commits: new Set(
    follows.flatMap((follow) => (typeof follow !== "string" && "commit" in follow ? [follow.commit] : [])),
  ),
});
