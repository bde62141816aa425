import { access } from "node:fs/promises";
import { join, resolve } from "node:path";
import { AddressRefused, checkAddress, redact } from "#hub/git/address.ts";
import { git, GitFailed, type GitOptions } from "#hub/git/command.ts";
import { commitAndPush, type GitChange, type Pushed } from "#hub/git/push.ts";
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

export type TreeFile = {
  readonly path: string;
  /** "100644", "100755"; "120000" is a symbolic link, "160000" a submodule. */
  readonly mode: string;
  readonly object: string;
  readonly bytes: number;
};

export type MirrorSettings = RemoteSettings & {
  readonly directory: string;
  readonly allowedHosts: ReadonlySet<string>;
  /** The PATH in which git and ssh are found. */
  readonly searchPath: string;
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
  /**
   * Regular files under a folder with their content, by one process. Symbolic links and submodules are left out. Throws
   * TooLarge before anything is read when the files exceed the limits.
   */
  contents(commit: Revision, folder: string): Promise<{ path: string; bytes: Buffer }[]>;
  isAncestor(ancestor: Revision, commit: Revision): Promise<boolean>;
  /** The one commit that these hex digits begin; undefined when there is none, or several. */
  resolve(digits: string): Promise<Revision | undefined>;
  /** The newest commit that this key signed ("ssh-ed25519 AAAA..."), of the last thousand from `from` back. */
  newestSignedBy(publicKey: string, from: Revision): Promise<Revision | undefined>;
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

/** Manifests for people, not data: a folder beyond this wants to be several Applications. */
export const contentLimits = { files: 10_000, fileBytes: 1024 * 1024, bytes: 32 * 1024 * 1024 } as const;

/** A folder over a limit. The message names the largest file. */
export class TooLarge extends Error {
  override readonly name = "TooLarge";
}

export async function openMirror(settings: MirrorSettings): Promise<Mirror> {
  const { protocol } = checkAddress(settings.url, settings.allowedHosts);
  if (protocol === "ssh:" && settings.ssh === undefined)
    throw new AddressRefused(`${redact(settings.url)}: ssh needs a private key and pinned host keys`);
  // git runs in another folder where it speaks over ssh.
  const directory = resolve(settings.directory);
  const repository = { directory, searchPath: settings.searchPath };
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

  const filesOf: Mirror["files"] = async (commit, folder) => {
    const within = folder === "" ? [] : ["--", `${folder.replace(/\/+$/, "")}/`];
    return (await run(["ls-tree", "-r", "-z", "-l", "--full-tree", commit, ...within]))
      .toString("utf8")
      .split("\0")
      .filter((line) => line !== "")
      .map(fileOf);
  };

  return {
    fetch: (signal) =>
      alone(async () => {
        const before = await takenHeads(repository);
        const refs = "+refs/heads/*:refs/remotes/origin/*";
        const fetch = ["fetch", "--quiet", "--prune", "--no-tags", "--no-recurse-submodules", "--", settings.url, refs];
        await withRemote(directory, settings, (access) => run(fetch, { ...access, signal }));
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
    files: filesOf,
    read: (file) => run(["cat-file", "blob", file.object]),
    async contents(commit, folder) {
      const files = (await filesOf(commit, folder)).filter(({ mode }) => mode.startsWith("100"));
      checkSize(files, folder);
      if (files.length === 0) return [];
      const input = files.map(({ object }) => `${object}\n`).join("");
      return parseBatch(await run(["cat-file", "--batch"], { input }), files);
    },
    isAncestor,
    async resolve(digits) {
      if (!/^[0-9a-f]{4,64}$/.test(digits)) return undefined;
      const found = await text(["rev-parse", "--verify", "--quiet", `${digits}^{commit}`]).catch(() => "");
      return found === "" ? undefined : revision(found);
    },
    newestSignedBy: (publicKey, from) => newestSignedBy(repository, publicKey, from),
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

function fileOf(line: string): TreeFile {
  const found = /^(\d{6}) \w+ ([0-9a-f]+) +(\d+|-)\t(.*)$/s.exec(line);
  if (found === null) throw new GitFailed(`git ls-tree: cannot read ${JSON.stringify(line.slice(0, 80))}`);
  const [, mode, object, bytes, path] = found as unknown as [string, string, string, string, string];
  return { path, mode, object, bytes: bytes === "-" ? 0 : Number(bytes) };
}

function loggedOf(line: string): Logged {
  const [commit = "", author = "", seconds = "", subject = "", body = ""] = line.trimStart().split("\0");
  return { commit: revision(commit), author, atMs: Number(seconds) * 1000, subject, body };
}

function checkSize(files: readonly TreeFile[], folder: string): void {
  if (files.length > contentLimits.files)
    throw new TooLarge(
      `${folder || "the repository"} holds ${files.length} files, at most ${contentLimits.files} are read`,
    );
  const [largest] = [...files].sort((a, b) => b.bytes - a.bytes);
  if (largest !== undefined && largest.bytes > contentLimits.fileBytes)
    throw new TooLarge(`${largest.path} is ${largest.bytes} bytes, at most 1 MiB is read`);
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  if (bytes > contentLimits.bytes)
    throw new TooLarge(
      `${folder || "the repository"} holds ${bytes} bytes, at most 32 MiB are read; the largest is ${largest!.path}`,
    );
}

/** Output of `cat-file --batch`: a header line, the bytes, a line feed, for each object in order. */
function parseBatch(output: Buffer, files: readonly TreeFile[]): { path: string; bytes: Buffer }[] {
  let at = 0;
  return files.map(({ path, bytes }) => {
    const headEnd = output.indexOf(10, at);
    const found = / blob (\d+)$/.exec(output.toString("latin1", at, headEnd));
    if (found === null || Number(found[1]) !== bytes) throw new GitFailed(`git cat-file: cannot read ${path}`);
    const from = headEnd + 1;
    at = from + bytes + 1;
    return { path, bytes: output.subarray(from, from + bytes) };
  });
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
