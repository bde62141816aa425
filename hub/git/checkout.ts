import { lstat, readFile, realpath, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { git, type BareRepository } from "#hub/git/command.ts";
import {
  checkSize,
  ContentRefused,
  faultOf,
  readContents,
  readFileAt,
  type ContentLimits,
  type FileBytes,
  type TreeFile,
} from "#hub/git/contents.ts";
import { openRepository } from "#hub/git/object-reader.ts";
import { revision, type Revision } from "#proto/ids.ts";

/** Files as a commit would hold them. */
export type Files = {
  contents(folder: string, leaveOut?: (because: string) => void, limits?: ContentLimits): Promise<FileBytes[]>;
  file(path: string): Promise<Buffer | undefined>;
};

/** Somebody's clone of a repository, on this machine. Nothing in it is followed out of it. */
export type Checkout = {
  readonly root: string;
  /** What would be committed: the files that git tracks, and those that it would add, as they lie there. */
  readonly working: Files;
  /** Undefined for what names no commit. */
  resolve(name: string): Promise<Revision | undefined>;
  at(commit: Revision): Files;
};

/** The checkout that a folder lies in. Throws ContentRefused when it lies in none. */
export async function openCheckout(folder: string, searchPath: string): Promise<Checkout> {
  const { root, directory } = await find(folder);
  const repository = openRepository({ directory, searchPath });
  const name = async (text: string): Promise<Revision | undefined> => {
    if (text.startsWith("-")) return undefined;
    const found = await git(repository, ["rev-parse", "--verify", "--quiet", `${text}^{commit}`]).catch(() => "");
    return found === "" ? undefined : revision(found.toString("utf8").trim());
  };
  return {
    root,
    working: workingFiles(repository, root),
    resolve: name,
    at: (commit) => ({
      contents: (...wanted) => readContents(repository, commit, ...wanted),
      file: (path) => readFileAt(repository, commit, path),
    }),
  };
}

async function find(folder: string): Promise<{ root: string; directory: string }> {
  let root = await realpath(resolve(folder));
  for (;;) {
    const entry = join(root, ".git");
    const found = await stat(entry).catch(() => undefined);
    if (found?.isDirectory() === true) return { root, directory: entry };
    // A linked work tree, or a submodule: a file that says where its repository is.
    const pointed = found?.isFile() === true ? /^gitdir: (.+)$/m.exec(await readFile(entry, "utf8"))?.[1] : undefined;
    if (pointed !== undefined) return { root, directory: resolve(root, pointed) };
    if (root === dirname(root)) throw new ContentRefused(`${folder} is in no checkout of a Git repository`);
    root = dirname(root);
  }
}

function workingFiles(repository: BareRepository, root: string): Files {
  const list = async (folder: string): Promise<TreeFile[]> => {
    const within = folder === "" ? [] : [`:(literal)${folder.replace(/\/+$/, "")}/`];
    const arguments_ = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ...within];
    const listed = (await git(repository, arguments_, { workTree: root })).toString("utf8").split("\0");
    const found = await Promise.all(
      [...new Set(listed)].filter((path) => path !== "").map((path) => entryAt(root, path)),
    );
    // A file that is deleted and not yet committed is in no commit to come.
    return found.filter((file) => file !== undefined).sort((a, b) => (a.path < b.path ? -1 : 1));
  };
  return {
    async contents(folder, leaveOut = refuse, limits) {
      const files = (await list(folder)).filter((file) => {
        const because = faultOf(file);
        if (because !== undefined) leaveOut(because);
        return because === undefined;
      });
      checkSize(files, folder, limits);
      return Promise.all(files.map(async ({ path }) => ({ path, bytes: await readFile(join(root, path)) })));
    },
    async file(path) {
      const found = (await list(dirname(path) === "." ? "" : dirname(path))).find((file) => file.path === path);
      return found?.mode.startsWith("100") === true ? readFile(join(root, path)) : undefined;
    },
  };
}

function refuse(because: string): never {
  throw new ContentRefused(because);
}

/** As git would commit it: a link is a link, and a folder where a file is listed is a submodule. */
async function entryAt(root: string, path: string): Promise<TreeFile | undefined> {
  const bare = path.replace(/\/$/, "");
  // Git lists nothing below a link that it tracks; below one that it does not know, it lists nothing either.
  const found = await lstat(join(root, bare)).catch(() => undefined);
  if (found === undefined) return undefined;
  const mode = found.isSymbolicLink() ? "120000" : found.isDirectory() ? "160000" : found.isFile() ? "100644" : "0";
  return { path: bare, mode, object: "", bytes: found.size };
}
