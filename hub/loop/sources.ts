import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Repository } from "#hub/fleet/fleet.ts";
import { follow, type Following } from "#hub/git/follow.ts";
import type { GitChange, Pushed } from "#hub/git/push.ts";
import type { GitSigner } from "#hub/git/sign.ts";
import { openMirror, type Mirror, type RefMove } from "#hub/git/mirror.ts";
import { AddressRefused, redact } from "#hub/git/address.ts";
import type { Clock } from "#lib/clock.ts";
import { reasonOf, type Log } from "#lib/log.ts";
import type { Revision } from "#proto/ids.ts";

/** A branch whose remote went back or was rewritten: it stays at its last good head until people say otherwise. */
export type BranchAlarm = {
  readonly repository: string;
  readonly branch: string;
  readonly kind: "behind" | "rewritten" | "deleted";
  readonly sinceMs: number;
};

/** One followed repository: its mirror, and the heads that are taken from it. */
export type Source = {
  readonly name: string;
  readonly url: string;
  readonly mirror: Mirror;
  readonly following: Following;
  /** Commits and pushes; the head is then this commit. */
  commit(change: GitChange, signer: GitSigner): Promise<Pushed>;
  /** The newest head that follows from the ones before it. */
  head(branch: string): Revision | undefined;
  alarms(): readonly BranchAlarm[];
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
  readonly intervalMs: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** A head moved. */
  readonly onMove: (source: Source, moves: readonly RefMove[]) => void;
};

/** Where a repository lies, and what it takes to get in: asked at each fetch, so that both may be changed. */
export type SourceAccess = {
  readonly name: string;
  readonly url: string;
  /** Of https "user:password" or a token; of ssh a private key. */
  readonly credentialsFile: () => string | undefined;
  /** Lines as in known_hosts. */
  readonly hostKeys: () => Promise<readonly string[]>;
};

export async function openSource(access: SourceAccess, options: SourceOptions): Promise<Source> {
  const { name, url, credentialsFile, hostKeys } = access;
  const { clock, log } = options;
  const stopped = new AbortController();
  const signal = AbortSignal.any([options.signal, stopped.signal]);
  // By address: a Repository that is renamed keeps its mirror, one whose address changes starts anew.
  const folder = createHash("sha256").update(url).digest("hex").slice(0, 16);
  const mirror = await openMirror({
    url,
    directory: join(options.dataFolder, "git", `${folder}.git`),
    allowedHosts: options.allowedHosts,
    searchPath: options.searchPath,
    prlimit: options.prlimit,
    authorization: () => basicFrom(credentialsFile()),
    ssh: { privateKey: () => keyFrom(credentialsFile()), hostKeys },
  });
  const heads = new Map<string, Revision>();
  const alarms = new Map<string, BranchAlarm>();
  let problem = "";

  /** Takes what moved forward, and gives what was not known before: an alarm goes on until its branch is good again. */
  const take = (moves: readonly RefMove[]): RefMove[] => {
    const news = moves.filter((move) => alarms.get(move.branch)?.kind !== move.kind);
    const bad = new Set(moves.filter(({ kind }) => kind !== "new" && kind !== "forward").map(({ branch }) => branch));
    for (const branch of alarms.keys()) if (!bad.has(branch)) alarms.delete(branch);
    for (const move of news) {
      if (move.kind === "new" || move.kind === "forward") {
        heads.set(move.branch, move.to);
        continue;
      }
      const { branch, kind } = move;
      alarms.set(branch, { repository: name, branch, kind, sinceMs: clock.now() });
      log.error({ repository: name, branch, kind }, "a branch did not move forward: its last good head is kept");
    }
    return news;
  };
  // What an earlier run took is where this one begins, whatever the remote shows by now.
  for (const [branch, head] of await mirror.taken()) heads.set(branch, head);
  const source: Source = {
    name,
    url,
    mirror,
    async commit(change, signer) {
      const pushed = await mirror.commit(change, signer, clock.now(), signal);
      if (pushed.kind === "pushed") {
        const from = heads.get(change.branch);
        heads.set(change.branch, pushed.commit);
        const { branch } = change;
        options.onMove(source, [
          from === undefined
            ? { kind: "new", branch, to: pushed.commit }
            : { kind: "forward", branch, from, to: pushed.commit },
        ]);
      }
      return pushed;
    },
    head: (branch) => heads.get(branch),
    alarms: () => [...alarms.values()],
    problem: () => problem,
    stop() {
      stopped.abort(new Error(`${name} is followed at another address`));
      return source.following.ended;
    },
    following: follow({
      mirror: {
        async fetch(signal) {
          const moves = await mirror.fetch(signal);
          // Also when nothing moved: a remote that is back is no problem any more.
          problem = "";
          return take(moves);
        },
      },
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

/** The file holds "user:password" or a token; read at each fetch, so that it may be rotated. */
async function basicFrom(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  const text = (await readFile(file, "utf8")).trim();
  const pair = text.includes(":") ? text : `x-access-token:${text}`;
  return `Basic ${Buffer.from(pair).toString("base64")}`;
}

async function keyFrom(file: string | undefined): Promise<string> {
  if (file === undefined)
    throw new AddressRefused("an ssh:// repository needs a private key: name its file under credentials");
  return readFile(file, "utf8");
}

export const credentialsFileOf = (repository: Repository): string | undefined =>
  repository.credentials !== undefined && "file" in repository.credentials ? repository.credentials.file : undefined;
