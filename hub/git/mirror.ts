import { access } from "node:fs/promises";
import { join, resolve } from "node:path";
import { AddressRefused, checkAddress, redact } from "#hub/git/address.ts";
import { git, type GitOptions } from "#hub/git/command.ts";
import { listFiles, readContents, readFileAt, type FileBytes, type TreeFile } from "#hub/git/contents.ts";
import { sweepUnfinished } from "#hub/git/unfinished.ts";
import { strangersLimits, type GitLimits } from "#hub/git/limits.ts";
import { objectsAt } from "#hub/git/objects-at.ts";
import { commitAndPush, type GitChange, type Pushed } from "#hub/git/push.ts";
import {
  lastChange,
  readCommits,
  walkCommits,
  type CommitWalk,
  type RawCommit,
  type WalkOptions,
} from "#hub/git/raw-commits.ts";
import { withRemote, type RemoteSettings } from "#hub/git/remote.ts";
import type { GitSigner } from "#hub/git/sign.ts";
import { removeSshFiles } from "#hub/git/ssh.ts";
import { newestSignedBy } from "#hub/git/signed-history.ts";
import { isTakeable, takenHeads, takenRef } from "#hub/git/taken.ts";
import { serial } from "#lib/serial.ts";
import { revision, type Revision } from "#proto/ids.ts";

/** What a fetch found of one branch. */
export type RefMove =
  | { readonly kind: "new"; readonly branch: string; readonly to: Revision }
  | { readonly kind: "forward"; readonly branch: string; readonly from: Revision; readonly to: Revision }
  /** The remote shows an ancestor of what it showed before: Git itself is behind. Publish nothing from it. */
  | { readonly kind: "behind"; readonly branch: string; readonly from: Revision; readonly to: Revision }
  /** Neither ancestor nor descendant: history was rewritten, and a person must accept it. */
  | { readonly kind: "rewritten"; readonly branch: string; readonly from: Revision; readonly to: Revision }
  | { readonly kind: "deleted"; readonly branch: string; readonly from: Revision };

export type MirrorSettings = RemoteSettings & {
  readonly directory: string;
  readonly allowedHosts: ReadonlySet<string>;
  /** The PATH in which git and ssh are found. */
  readonly searchPath: string;
  /** The program that limits what git may use; without it only time is limited. */
  readonly prlimit?: string | undefined;
  readonly limits?: GitLimits;
};

/** A bare mirror of one repository: never a working tree, so no path of it can lead anywhere. */
export type Mirror = {
  /**
   * Brings every branch here, and says how each differs from its last good head. A branch that went back, was rewritten or
   * is gone is said at every fetch, also after a restart, until it follows from that head again.
   */
  fetch(signal?: AbortSignal): Promise<RefMove[]>;
  head(branch: string): Promise<Revision | undefined>;
  /** The newest head of each branch that followed from the ones before it. */
  taken(): Promise<Map<string, Revision>>;
  /** Files under a folder at a commit, sorted by path; "" is the whole tree. */
  files(commit: Revision, folder: string): Promise<TreeFile[]>;
  read(file: TreeFile): Promise<Buffer>;
  /** One regular file; undefined where there is none. Throws TooLarge. */
  file(commit: Revision, path: string): Promise<Buffer | undefined>;
  /** The object id of each path that is there at a commit: equal ids are equal content, whatever the commit. */
  objects(commit: Revision, paths: readonly string[]): Promise<Map<string, string>>;
  /**
   * Regular files under a folder with their content, by one process. Symbolic links, submodules and names that are no
   * text are given to `leaveOut`, and are an error without it: ContentRefused. Throws TooLarge before anything is read.
   */
  contents(commit: Revision, folder: string, leaveOut?: (because: string) => void): Promise<FileBytes[]>;
  isAncestor(ancestor: Revision, commit: Revision): Promise<boolean>;
  /** The one commit that these hex digits begin; undefined when there is none, or several. */
  resolve(digits: string): Promise<Revision | undefined>;
  /** The newest commit that this key signed ("ssh-ed25519 AAAA..."), of the last thousand from `from` back. */
  newestSignedBy(publicKey: string, from: Revision): Promise<Revision | undefined>;
  /** Commits as they are stored: what a signature is over. Newest first, by every parent. */
  walk(tip: Revision, options: WalkOptions): Promise<CommitWalk>;
  rawCommits(ids: readonly Revision[]): Promise<RawCommit[]>;
  /** The commit that gave a file what it holds at `at`; undefined when it was never there. */
  lastChange(at: Revision, path: string): Promise<Revision | undefined>;
  /** Newest first. */
  log(commit: Revision, limit: number, path?: string): Promise<Logged[]>;
  /** Commits on top of `change.expect` and pushes. Throws GitFailed when the outcome is not known. */
  commit(change: GitChange, signer: GitSigner, nowMs: number, signal?: AbortSignal): Promise<Pushed>;
};

export type Logged = {
  readonly commit: Revision;
  readonly author: string;
  readonly atMs: number;
  readonly subject: string;
  /** Lines "Name: value" at the end of the message. */
  readonly body: string;
};

export async function openMirror(settings: MirrorSettings): Promise<Mirror> {
  const { protocol } = checkAddress(settings.url, settings.allowedHosts);
  if (protocol === "ssh:" && settings.ssh === undefined)
    throw new AddressRefused(`${redact(settings.url)}: ssh needs a private key and pinned host keys`);
  // git runs in another folder where it speaks over ssh.
  const directory = resolve(settings.directory);
  const repository = { directory, searchPath: settings.searchPath, prlimit: settings.prlimit };
  const limits = settings.limits ?? strangersLimits;
  // A fetch and a push both write the same refs, and git refuses the slower of two.
  const alone = serial();
  const run = (arguments_: string[], options?: GitOptions): Promise<Buffer> => git(repository, arguments_, options);
  const text = async (arguments_: string[]): Promise<string> => (await run(arguments_)).toString("utf8").trim();
  if (!(await exists(join(directory, "HEAD")))) await run(["init", "--quiet", "--bare", directory]);
  await removeSshFiles(directory);

  const branches = async (): Promise<Map<string, Revision>> => {
    const lines = await text(["for-each-ref", "--format=%(objectname) %(refname:lstrip=3)", "refs/remotes/origin"]);
    const pairs = lines.split("\n").filter((line) => line !== "");
    return new Map(
      pairs.map((line) => [line.slice(line.indexOf(" ") + 1), revision(line.slice(0, line.indexOf(" ")))]),
    );
  };
  const isAncestor = async (older: Revision, newer: Revision): Promise<boolean> =>
    (await text(["rev-list", "--count", "--max-count=1", older, `^${newer}`])) === "0";

  const moveOf = async (branch: string, from?: Revision, to?: Revision): Promise<RefMove | undefined> => {
    if (from === to) return undefined;
    if (from === undefined) return to === undefined ? undefined : { kind: "new", branch, to };
    if (to === undefined) return { kind: "deleted", branch, from };
    if (await isAncestor(from, to)) return { kind: "forward", branch, from, to };
    return { kind: (await isAncestor(to, from)) ? "behind" : "rewritten", branch, from, to };
  };

  return {
    fetch: (signal) =>
      alone(async () => {
        const before = await takenHeads(repository);
        const refs = "+refs/heads/*:refs/remotes/origin/*";
        const fetch = ["fetch", "--quiet", "--prune", "--no-tags", "--no-recurse-submodules", "--", settings.url, refs];
        await withRemote(directory, settings, (access) => run(fetch, { ...access, signal, limits })).catch(
          async (error: unknown) => {
            await sweepUnfinished(directory);
            throw error;
          },
        );
        const after = await branches();
        const names = [...new Set([...before.keys(), ...after.keys()])].filter(isTakeable).sort();
        const found = await Promise.all(names.map((name) => moveOf(name, before.get(name), after.get(name))));
        const moves = found.filter((move) => move !== undefined);
        const good = moves.flatMap((move) =>
          move.kind === "new" || move.kind === "forward" ? [`update ${takenRef(move.branch)} ${move.to}\n`] : [],
        );
        // What was good stays reachable: a cluster may still run it, and a Promotion may name it.
        const kept = [...before.values()].map((commit) => `update refs/plumbline/seen/${commit} ${commit}\n`);
        await run(["update-ref", "--stdin"], { input: [...kept, ...good].join("") });
        return moves;
      }),
    head: async (branch) => (await branches()).get(branch),
    taken: () => takenHeads(repository),
    files: (commit, folder) => listFiles(repository, commit, folder),
    read: (file) => run(["cat-file", "blob", file.object]),
    file: (commit, path) => readFileAt(repository, commit, path),
    objects: (commit, paths) => objectsAt(repository, commit, paths),
    contents: (commit, folder, leaveOut) => readContents(repository, commit, folder, leaveOut),
    isAncestor,
    async resolve(digits) {
      if (!/^[0-9a-f]{4,64}$/.test(digits)) return undefined;
      const found = await text(["rev-parse", "--verify", "--quiet", `${digits}^{commit}`]).catch(() => "");
      return found === "" ? undefined : revision(found);
    },
    newestSignedBy: (publicKey, from) => newestSignedBy(repository, publicKey, from),
    walk: (tip, options) => walkCommits(repository, tip, options),
    rawCommits: (ids) => readCommits(repository, ids),
    lastChange: (at, path) => lastChange(repository, at, path),
    async log(commit, limit, path) {
      const format = "%H%x00%an <%ae>%x00%ct%x00%s%x00%b%x00%x01";
      const within = path === undefined ? [] : ["--", path];
      const said = await text(["log", `-${limit}`, `--format=${format}`, commit, ...within]);
      return said
        .split("\u0001")
        .filter((line) => line.trim() !== "")
        .map(loggedOf);
    },
    commit: (change, signer, nowMs, signal) =>
      alone(async () => {
        const pushed = await withRemote(directory, settings, (access) =>
          commitAndPush(repository, settings.url, change, { signer, nowMs, access, signal }),
        );
        // On top of a head that nobody accepted, a commit of the hub's own makes it no better, unless it puts back what was there.
        const follows = async (): Promise<boolean> =>
          change.content !== undefined || (await takenHeads(repository)).get(change.branch) === change.expect;
        if (pushed.kind === "pushed" && (await follows()))
          await run(["update-ref", takenRef(change.branch), pushed.commit]);
        return pushed;
      }),
  };
}

function loggedOf(line: string): Logged {
  const [commit = "", author = "", seconds = "", subject = "", body = ""] = line.trimStart().split("\0");
  return { commit: revision(commit), author, atMs: Number(seconds) * 1000, subject, body };
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
