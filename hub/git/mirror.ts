import { access, mkdir, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { AddressRefused, checkAddress, redact } from "#hub/git/address.ts";
import { readThrough, type BlobCache } from "#hub/git/blob-cache.ts";
import { git, type GitOptions } from "#hub/git/command.ts";
import {
  listContents,
  listFiles,
  readFileAt,
  readFiles,
  type ContentLimits,
  type FileBytes,
  type TreeFile,
} from "#hub/git/contents.ts";
import { strangersLimits, type GitLimits } from "#hub/git/limits.ts";
import { openRepository } from "#hub/git/object-reader.ts";
import { objectsAt } from "#hub/git/objects-at.ts";
import { commitAndPush, type GitChange, type Pushed } from "#hub/git/push.ts";
import {
  isSoonBefore,
  lastChange,
  readCommits,
  readTagObject,
  walkCommits,
  type CommitWalk,
  type RawCommit,
  type WalkOptions,
} from "#hub/git/raw-commits.ts";
import { commitsOutside } from "#hub/git/outside.ts";
import { bringRefs, hasMoved, prefixesOf } from "#hub/git/fetch.ts";
import { movesOf, type RefMove, type Wants } from "#hub/git/moves.ts";
import { pinnedRef, readRefs, seenRef, takenRef, type Refs } from "#hub/git/refs.ts";
import { remoteAsker, withRemote, type RemoteSettings } from "#hub/git/remote.ts";
import { isSignedBy, type GitSigner } from "#hub/git/sign.ts";
import { removeSshFiles } from "#hub/git/ssh.ts";
import { newestWanted, type Wanted } from "#hub/git/signed-history.ts";
import { tidyMirror } from "#hub/git/tidy.ts";
import { serial } from "#lib/serial.ts";
import { revision, type Revision } from "#proto/ids.ts";

export type MirrorSettings = RemoteSettings & {
  readonly directory: string;
  /** What is followed now. Without it every branch is, and no tag. */
  readonly wants?: () => Wants;
  /** The PATH in which git and ssh are found. */
  readonly searchPath: string;
  /** The program that limits what git may use; without it only time is limited. */
  readonly prlimit?: string | undefined;
  readonly limits?: GitLimits;
  /** Content that was read lately. */
  readonly blobs?: BlobCache | undefined;
};

/** A bare mirror of one repository: never a working tree, so no path of it can lead anywhere. */
export type Mirror = {
  /**
   * Brings here what moved, and says how each followed branch differs from its last good head. A branch that went back, was
   * rewritten or is gone is said at every fetch, also after a restart, until it follows from that head again. Without a hint
   * that something moved, it is asked for first where that is the cheaper half.
   */
  fetch(signal?: AbortSignal, isHinted?: boolean): Promise<RefMove[]>;
  /** As the remote showed it last. */
  head(branch: string): Promise<Revision | undefined>;
  /** The newest head of each branch that followed from the ones before it. */
  taken(): Promise<ReadonlyMap<string, Revision>>;
  refs(): Promise<Refs>;
  /** A person accepted what the remote shows: the branch goes on from there, and what it was before is kept. */
  take(branch: string, head: Revision): Promise<void>;
  /** Remembers what a tag names, whatever it is moved to later; undefined forgets it. */
  pin(tag: string, commit: Revision | undefined): Promise<void>;
  /** Those of the commits that are not here, or that `head` does not follow from. */
  outside(commits: readonly Revision[], head: Revision): Promise<Revision[]>;
  /** Packs what was fetched, and drops what no branch holds and nobody uses. Fetches and pushes wait for it. */
  tidy(inUse: Iterable<Revision>, signal?: AbortSignal): Promise<void>;
  /** Made anew, and remembers nothing of what its remote showed before: `trust` says that it has been compared. */
  isYoung(): boolean;
  trust(): Promise<void>;
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
  contents(...wanted: WantedContents): Promise<FileBytes[]>;
  /** The same files without their content, which `readAll` reads. */
  list(...wanted: WantedContents): Promise<TreeFile[]>;
  readAll(files: readonly TreeFile[]): Promise<FileBytes[]>;
  isAncestor(ancestor: Revision, commit: Revision): Promise<boolean>;
  /** The one commit that these hex digits begin; undefined when there is none, or several. */
  resolve(digits: string): Promise<Revision | undefined>;
  /** The newest commit of one key and kind, of the last thousand from `from` back. */
  newestWanted(from: Revision, wanted: Wanted): Promise<Revision | undefined>;
  /** Commits as they are stored: what a signature is over. Newest first, by every parent. */
  walk(tip: Revision, options: WalkOptions): Promise<CommitWalk>;
  rawCommits(ids: readonly Revision[]): Promise<RawCommit[]>;
  /** An annotated tag as it is stored; undefined for a light one, which nobody can sign. */
  tagObject(id: string): Promise<Buffer | undefined>;
  /** The commit that gave a file what it holds at `at`; undefined when it was never there. */
  lastChange(at: Revision, path: string): Promise<Revision | undefined>;
  /** Newest first. */
  log(commit: Revision, limit: number, path?: string): Promise<Logged[]>;
  /** Whether this key ("ssh-ed25519 AAAA...") signed the commit. */
  isSignedBy(commit: Revision, publicKey: string): Promise<boolean>;
  /** Commits on top of `change.expect` and pushes. Throws GitFailed when the outcome is not known. */
  commit(change: GitChange, signer: GitSigner, nowMs: number, signal?: AbortSignal): Promise<Pushed>;
};

type WantedContents = [
  commit: Revision,
  folder: string,
  leaveOut?: (because: string) => void,
  /** Without them, those of an Application's folder. */
  limits?: ContentLimits,
];

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
  const repository = openRepository({ directory, searchPath: settings.searchPath, prlimit: settings.prlimit });
  const limits = settings.limits ?? strangersLimits;
  const blobs = settings.blobs?.of(directory);
  // A fetch and a push both write the same refs, and git refuses the slower of two.
  const alone = serial();
  const run = (arguments_: string[], options?: GitOptions): Promise<Buffer> => git(repository, arguments_, options);
  const text = async (arguments_: string[]): Promise<string> => (await run(arguments_)).toString("utf8").trim();
  const youngFile = join(directory, "young");
  if (!(await exists(join(directory, "HEAD")))) {
    // Before git's own: a mirror that lost what it knew must never pass for one that knows.
    await mkdir(directory, { recursive: true });
    await writeFile(youngFile, "");
    await run(["init", "--quiet", "--bare", directory]);
  }
  let young = await exists(youngFile);
  await removeSshFiles(directory);

  // Only this process writes here, so the quiet look costs no git command at all.
  let known: Promise<Refs> | undefined;
  const refs = (): Promise<Refs> => (known ??= readRefs(repository));
  const update = async (lines: readonly string[]): Promise<void> => {
    if (lines.length > 0) await run(["update-ref", "--stdin"], { input: lines.map((line) => `${line}\n`).join("") });
    known = undefined;
  };
  const ask = remoteAsker(repository, settings);
  /** Commits by name that the remote was asked for. */
  const sought = new Set<Revision>();
  const isAncestor = async (older: Revision, newer: Revision): Promise<boolean> =>
    (await isSoonBefore(repository, older, newer)) ||
    (await text(["rev-list", "--count", "--max-count=1", older, `^${newer}`])) === "0";

  const bring = async (wants: Wants | undefined, signal: AbortSignal | undefined): Promise<void> => {
    try {
      await withRemote(directory, settings, (access) =>
        bringRefs(repository, settings.url, wants, { ...access, signal, limits }),
      );
    } finally {
      known = undefined;
    }
  };

  return {
    fetch: (signal, isHinted = true) =>
      alone(async () => {
        const wants = settings.wants?.();
        const unknown = [...(wants?.commits ?? [])].filter((commit) => !sought.has(commit));
        try {
          const remote = unknown.length > 0 ? undefined : await ask(prefixesOf(wants), isHinted, signal);
          if (remote === undefined || hasMoved(remote, await refs(), wants)) await bring(wants, signal);
        } catch (error) {
          await settings.refused?.().catch(() => undefined);
          throw error;
        }
        for (const commit of unknown) sought.add(commit);
        const shown = await refs();
        const moves = await movesOf(shown, wants, isAncestor);
        const good = moves.filter((move) => move.kind === "new" || move.kind === "forward");
        if (good.length === 0) return moves;
        await update(good.map(({ branch, to }) => `update ${takenRef(branch)} ${to}`));
        // Nobody else writes them: what was just written need not be listed again.
        const taken = new Map([...shown.taken, ...good.map(({ branch, to }) => [branch, to] as const)]);
        known = Promise.resolve({ ...shown, taken });
        return moves;
      }),
    head: async (branch) => (await refs()).branches.get(branch),
    taken: async () => (await refs()).taken,
    refs,
    take: (branch, head) =>
      alone(async () => {
        const before = (await refs()).taken.get(branch);
        const kept = before === undefined ? [] : [`update ${seenRef(before)} ${before}`];
        await update([...kept, `update ${takenRef(branch)} ${head}`]);
      }),
    pin: (tag, commit) =>
      alone(() => update([commit === undefined ? `delete ${pinnedRef(tag)}` : `update ${pinnedRef(tag)} ${commit}`])),
    outside: (commits, head) => commitsOutside(repository, commits, head),
    tidy: (inUse, signal) =>
      alone(() => tidyMirror(repository, [...inUse, ...(settings.wants?.().commits ?? [])], signal)),
    isYoung: () => young,
    async trust() {
      await rm(youngFile, { force: true });
      young = false;
    },
    files: (commit, folder) => listFiles(repository, commit, folder),
    read: async (file) => (await readFiles(repository, [file]))[0]!.bytes,
    file: (commit, path) => readFileAt(repository, commit, path),
    objects: (commit, paths) => objectsAt(repository, commit, paths),
    contents: async (...wanted) => {
      const files = await listContents(repository, ...wanted);
      const read = (missing: readonly TreeFile[]): Promise<FileBytes[]> => readFiles(repository, missing);
      return blobs === undefined ? read(files) : readThrough(blobs, files, read);
    },
    list: (...wanted) => listContents(repository, ...wanted),
    readAll: (files) => readFiles(repository, files),
    isAncestor,
    async resolve(digits) {
      if (!/^[0-9a-f]{4,64}$/.test(digits)) return undefined;
      const found = await text(["rev-parse", "--verify", "--quiet", `${digits}^{commit}`]).catch(() => "");
      return found === "" ? undefined : revision(found);
    },
    newestWanted: (from, wanted) => newestWanted(repository, from, wanted),
    walk: (tip, options) => walkCommits(repository, tip, options),
    tagObject: (id) => readTagObject(repository, id),
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
    isSignedBy: async (commit, publicKey) => {
      const [found] = await readCommits(repository, [commit]);
      return isSignedBy(commit, found!.raw, publicKey);
    },
    commit: (change, signer, nowMs, signal) =>
      alone(async () => {
        const pushed = await withRemote(directory, settings, (access) =>
          commitAndPush(repository, settings.url, change, { signer, nowMs, access, signal }),
        );
        // On top of a head that nobody accepted, a commit of the hub's own makes it no better, unless it puts back what was there.
        const follows = async (): Promise<boolean> =>
          change.content !== undefined || (await refs()).taken.get(change.branch) === change.expect;
        if (pushed.kind === "pushed")
          await update((await follows()) ? [`update ${takenRef(change.branch)} ${pushed.commit}`] : []);
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
