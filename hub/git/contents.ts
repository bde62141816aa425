import { git, GitFailed, AnswerTooLarge, type BareRepository } from "#hub/git/command.ts";
import { strangersLimits } from "#hub/git/limits.ts";
import type { OpenRepository } from "#hub/git/object-reader.ts";
import type { Revision } from "#proto/ids.ts";

export type TreeFile = {
  readonly path: string;
  /** "100644", "100755"; "120000" is a symbolic link, "160000" a submodule. */
  readonly mode: string;
  readonly object: string;
  readonly bytes: number;
};

export type FileBytes = { readonly path: string; readonly bytes: Buffer };

export type ContentLimits = {
  readonly files: number;
  readonly fileBytes: number;
  readonly bytes: number;
  readonly pathBytes: number;
};

/** Manifests for people, not data: a folder beyond this wants to be several Applications. All of it is in memory for a while. */
export const contentLimits: ContentLimits = {
  files: 10_000,
  fileBytes: 1024 * 1024,
  bytes: 32 * 1024 * 1024,
  pathBytes: 1024,
};

/**
 * The fleet's own documents: 10,000 Clusters in a file each, as registering makes them, beside 10,000 Promotions (1,000
 * Applications in ten Environments), Applications and Removals; half a kilobyte each, and some longer.
 */
export const fleetLimits: ContentLimits = { ...contentLimits, files: 50_000, bytes: 64 * 1024 * 1024 };

/**
 * What the hub wrote itself: the keys of 10,000 clusters at half a kilobyte, and of as many Applications in Environments the
 * revisions that were proved there, at most 5 KB each; with room for clusters that were revoked, and for charts.
 */
export const recordLimits: ContentLimits = { ...contentLimits, files: 50_000, bytes: 128 * 1024 * 1024 };

/** A line of a listing whose path has a usual length, with room to spare: a listing past it is not kept, let alone read. */
const listedBytes = 420;

/** A folder that is not read, because of what lies in it. The message names the file. */
export class ContentRefused extends Error {
  override readonly name: string = "ContentRefused";
}

/** A folder over a limit. The message names the largest file. */
export class TooLarge extends ContentRefused {
  override readonly name = "TooLarge";
}

/** Files under a folder at a commit, sorted by path; "" is the whole tree. Throws TooLarge for a list beyond its limits. */
export async function listFiles(
  repository: BareRepository,
  commit: Revision,
  folder: string,
  limits?: ContentLimits,
): Promise<TreeFile[]> {
  const within = folder === "" ? [] : ["--", `${folder.replace(/\/+$/, "")}/`];
  const options = { limits: strangersLimits, ...(limits && { maxOutputBytes: limits.files * listedBytes }) };
  const listed = await git(repository, ["ls-tree", "-r", "-z", "-l", "--full-tree", commit, ...within], options).catch(
    (error: unknown) => {
      if (!(error instanceof AnswerTooLarge)) throw error;
      throw new TooLarge(
        `${nameOf(folder)} holds more files, or longer names, than are read: at most ${limits?.files ?? contentLimits.files} files with paths of at most ${contentLimits.pathBytes} bytes`,
      );
    },
  );
  return listed
    .toString("utf8")
    .split("\0")
    .filter((line) => line !== "")
    .map(fileOf);
}

/**
 * Regular files under a folder. What no desired state can come from (symbolic links, submodules, names that are not text) is
 * given to `leaveOut`; without one it is an error that names it. Throws TooLarge when the files exceed the limits.
 */
export async function listContents(
  repository: BareRepository,
  commit: Revision,
  folder: string,
  leaveOut: (because: string) => void = refuse,
  limits: ContentLimits = contentLimits,
): Promise<TreeFile[]> {
  const files = (await listFiles(repository, commit, folder, limits)).filter((file) => {
    const because = faultOf(file);
    if (because !== undefined) leaveOut(because);
    return because === undefined;
  });
  checkSize(files, folder, limits);
  return files;
}

/** What `listContents` lists, with content. */
export const readContents = async (
  repository: OpenRepository,
  ...wanted: [commit: Revision, folder: string, leaveOut?: (because: string) => void, limits?: ContentLimits]
): Promise<FileBytes[]> => readFiles(repository, await listContents(repository, ...wanted));

/** The content of listed files, in their order. */
export async function readFiles({ objects }: OpenRepository, files: readonly TreeFile[]): Promise<FileBytes[]> {
  const largest = files.reduce((most, { bytes }) => Math.max(most, bytes), 0);
  const found = await objects.read(
    files.map(({ object }) => object),
    largest,
  );
  return files.map(({ path, bytes: size }, n) => {
    const object = found[n];
    if (object?.type !== "blob" || object.bytes.length !== size)
      throw new GitFailed(`git cat-file: cannot read ${path}`);
    return { path, bytes: object.bytes };
  });
}

/** One regular file; undefined where there is none. Throws ContentRefused for a link, and TooLarge. */
export async function readFileAt(
  repository: OpenRepository,
  commit: Revision,
  path: string,
): Promise<Buffer | undefined> {
  const listed = await git(repository, ["ls-tree", "-z", "-l", "--full-tree", commit, "--", path], {
    limits: strangersLimits,
  });
  const [line = ""] = listed.toString("utf8").split("\0");
  const file = line === "" ? undefined : fileOf(line);
  if (file === undefined || file.path !== path || file.mode === "040000") return undefined;
  const fault = faultOf(file);
  if (fault !== undefined) refuse(fault);
  checkSize([file], path);
  return (await readFiles(repository, [file]))[0]!.bytes;
}

function refuse(because: string): never {
  throw new ContentRefused(because);
}

/** Why a file is not read; undefined for an ordinary one. */
export function faultOf({ path, mode }: Pick<TreeFile, "path" | "mode">): string | undefined {
  if (Buffer.byteLength(path) > contentLimits.pathBytes)
    return `${shown(path)}: its path is ${Buffer.byteLength(path)} bytes long, at most ${contentLimits.pathBytes} are read`;
  // What is not UTF-8 was decoded to the replacement character.
  if (path.includes("\ufffd")) return `${shown(path)}: its name is not UTF-8 text`;
  if (hasControl(path)) return `${shown(path)}: its name holds a control character`;
  if (mode === "120000")
    return `${path} is a symbolic link: they are not followed; put the file itself there, or name its folder`;
  if (mode === "160000") return `${path} is a submodule: they are not fetched; make an Application of its repository`;
  if (!mode.startsWith("100")) return `${path} is neither a file nor a folder (mode ${mode})`;
  return undefined;
}

const hasControl = (path: string): boolean => Array.from(path).some((letter) => letter < " " || letter === "\u007f");
/** In quotes and cut: a name of a megabyte is not for people. */
const shown = (path: string): string => JSON.stringify(path.length > 80 ? `${path.slice(0, 80)}…` : path);
const nameOf = (folder: string): string => folder || "the repository";

function fileOf(line: string): TreeFile {
  const found = /^(\d{6}) \w+ ([0-9a-f]+) +(\d+|-)\t(.*)$/s.exec(line);
  if (found === null) throw new GitFailed(`git ls-tree: cannot read ${JSON.stringify(line.slice(0, 80))}`);
  const [, mode, object, bytes, path] = found as unknown as [string, string, string, string, string];
  return { path, mode, object, bytes: bytes === "-" ? 0 : Number(bytes) };
}

export function checkSize(
  files: readonly Pick<TreeFile, "path" | "bytes">[],
  folder: string,
  limits: ContentLimits = contentLimits,
): void {
  if (files.length > limits.files)
    throw new TooLarge(`${nameOf(folder)} holds ${files.length} files, at most ${limits.files} are read`);
  const [largest] = [...files].sort((a, b) => b.bytes - a.bytes);
  if (largest !== undefined && largest.bytes > limits.fileBytes)
    throw new TooLarge(`${largest.path} is ${largest.bytes} bytes, at most ${limits.fileBytes / 2 ** 20} MiB is read`);
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  if (bytes > limits.bytes)
    throw new TooLarge(
      `${nameOf(folder)} holds ${bytes} bytes, at most ${limits.bytes / 2 ** 20} MiB are read; the largest is ${largest!.path}`,
    );
}
