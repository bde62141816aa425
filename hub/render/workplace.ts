import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { ManifestFile } from "#hub/render/objects.ts";

/** A path that would leave the folder it is written to. A commit that was checked as it was fetched holds none. */
export class PathRefused extends Error {
  override readonly name = "PathRefused";
}

/** A folder with files of a commit, gone when it is disposed of. */
export type Workplace = AsyncDisposable & { readonly folder: string };

/**
 * Files of a commit in a temporary folder, for a program that reads folders. Only regular files are written, each new, so
 * nothing in it leads anywhere else.
 */
export async function openWorkplace(files: readonly ManifestFile[]): Promise<Workplace> {
  for (const { path } of files) checkPath(path);
  const folder = await mkdtemp(join(tmpdir(), "plumbline-render-"));
  const end = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    await writeInto(folder, files);
  } catch (error) {
    await end();
    throw error;
  }
  return { folder, [Symbol.asyncDispose]: end };
}

/** Refuses to write over anything: two names that a file system takes for one would mix two files. */
export async function writeInto(folder: string, files: readonly ManifestFile[]): Promise<void> {
  const parents = new Set(files.map(({ path }) => dirname(join(folder, path))));
  for (const parent of parents) await mkdir(parent, { recursive: true });
  await Promise.all(files.map(({ path, bytes }) => writeFile(join(folder, path), bytes, { flag: "wx", mode: 0o600 })));
}

/** Runs `work` in a workplace of its own. */
export async function inWorkplace<Result>(
  files: readonly ManifestFile[],
  work: (folder: string) => Promise<Result>,
): Promise<Result> {
  await using workplace = await openWorkplace(files);
  return await work(workplace.folder);
}

function checkPath(path: string): void {
  const parts = path.split("/");
  if (parts.some((part) => part === "" || part === "." || part === "..") || path.includes("\0"))
    throw new PathRefused(`${JSON.stringify(path)} is no path inside the repository`);
}
