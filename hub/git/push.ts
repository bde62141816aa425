import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { AccessRefused, git, GitFailed, type BareRepository, type GitOptions } from "#hub/git/command.ts";
import type { RemoteAccess } from "#hub/git/remote.ts";
import type { GitSigner } from "#hub/git/sign.ts";
import { signatureHeader } from "#hub/trust/signed-object.ts";
import { revision, type Revision } from "#proto/ids.ts";

/** A change to one branch, computed from one of its commits. */
export type GitChange = {
  readonly branch: string;
  /** The commit that the change was computed from; undefined: the branch must not exist. */
  readonly expect: Revision | undefined;
  /** Whose files the change is laid over, when not those of `expect`. */
  readonly content?: Revision | "nothing";
  /** New content by path; null deletes. */
  readonly files: ReadonlyMap<string, string | null>;
  readonly message: string;
};

export type Pushed =
  | { readonly kind: "pushed"; readonly commit: Revision }
  /** The branch is elsewhere by now: fetch, and compute the change again. */
  | { readonly kind: "moved" }
  /** The remote will not take it: a protected branch, or a hook. */
  | { readonly kind: "declined"; readonly because: string };

const author = "Plumbline Hub <hub@plumbline.dev>";

/**
 * Commits without a working tree and pushes with a lease on `expect`. Throws GitFailed when the outcome is not known: the
 * caller fetches, and looks whether its commit is there.
 */
export async function commitAndPush(
  repository: BareRepository,
  url: string,
  change: GitChange,
  options: {
    readonly signer: GitSigner;
    readonly nowMs: number;
    readonly access: RemoteAccess;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<Pushed> {
  const commit = await writeCommit(repository, change, options.signer, options.nowMs);
  const ref = `refs/heads/${change.branch}`;
  const lease = `--force-with-lease=${ref}:${change.expect ?? ""}`;
  try {
    await git(repository, ["push", lease, "--", url, `${commit}:${ref}`], {
      ...options.access,
      signal: options.signal,
    });
  } catch (error) {
    if (!(error instanceof GitFailed) || error instanceof AccessRefused) throw error;
    if (/stale info|fetch first|non-fast-forward|reference already exists|cannot lock ref/.test(error.message))
      return { kind: "moved" };
    if (/declined|protected|denied|pre-receive|rejected/.test(error.message))
      return { kind: "declined", because: error.message };
    throw error;
  }
  await git(repository, ["update-ref", `refs/remotes/origin/${change.branch}`, commit]);
  return { kind: "pushed", commit };
}

/** Writes each text as a blob by one process, whatever their number, and gives their object ids. */
async function writeBlobs(
  run: (arguments_: string[], options?: GitOptions) => Promise<string>,
  texts: readonly string[],
): Promise<Map<string, string>> {
  if (texts.length === 0) return new Map();
  const distinct = [...new Set(texts)];
  const commands = distinct.map(
    (text, n) => `blob\nmark :${n + 1}\ndata ${Buffer.byteLength(text)}\n${text}\nget-mark :${n + 1}\n`,
  );
  const answer = await run(["fast-import", "--quiet", "--done"], { input: `${commands.join("")}done\n` });
  return new Map(answer.split("\n").map((object, n) => [distinct[n]!, object]));
}

async function writeCommit(
  repository: BareRepository,
  { expect, content = expect ?? "nothing", files, message }: GitChange,
  signer: GitSigner,
  nowMs: number,
): Promise<Revision> {
  const indexFile = join(repository.directory, `plumbline-index-${randomUUID()}`);
  const run = async (arguments_: string[], options: GitOptions = {}): Promise<string> =>
    (await git(repository, arguments_, { ...options, indexFile })).toString("utf8").trim();
  try {
    await run(content === "nothing" ? ["read-tree", "--empty"] : ["read-tree", content]);
    const objects = await writeBlobs(
      run,
      [...files.values()].filter((text) => text !== null),
    );
    // As long as every id of this repository; without a commit to lay them over there is nothing to delete.
    const none = "0".repeat(content.length);
    const lines = [...files].flatMap(([path, text]) =>
      text !== null ? [`100644 ${objects.get(text)!}\t${path}`] : content === "nothing" ? [] : [`0 ${none}\t${path}`],
    );
    await run(["update-index", "-z", "--index-info"], { input: lines.map((line) => `${line}\0`).join("") });
    const tree = await run(["write-tree"]);
    const when = `${Math.floor(nowMs / 1000)} +0000`;
    const parent = expect ?? content;
    const parents = parent === "nothing" ? "" : `parent ${parent}\n`;
    const head = `tree ${tree}\n${parents}author ${author} ${when}\ncommitter ${author} ${when}\n`;
    const body = `${message.trimEnd()}\n`;
    const signature = signer.sign(Buffer.from(`${head}\n${body}`)).replaceAll("\n", "\n ");
    const object = `${head}${signatureHeader(tree)} ${signature}\n\n${body}`;
    return revision(await run(["hash-object", "-t", "commit", "-w", "--stdin"], { input: object }));
  } finally {
    await rm(indexFile, { force: true });
  }
}
