import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { ManifestFile } from "#hub/render/objects.ts";

/** A path that would leave the folder it is written to. A commit that was checked as it was fetched holds none. */
export class PathRefused extends Error {
  override readonly name = "PathRefused";
}

/**
 * Files of a commit in a temporary folder, for a program that reads folders. Only regular files are written, each new, so
 * nothing in it leads anywhere else; it is gone when the work is done.
 */
export async function inWorkplace<Result>(
  files: readonly ManifestFile[],
  work: (folder: string) => Promise<Result>,
): Promise<Result> {
  for (const { path } of files) checkPath(path);
  const folder = await mkdtemp(join(tmpdir(), "plumbline-render-"));
  try {
    const parents = new Set(files.map(({ path }) => dirname(join(folder, path))));
    for (const parent of parents) await mkdir(parent, { recursive: true });
    // Refuses to write over anything: two names that a file system takes for one would mix two files.
    for (const { path, bytes } of files) await writeFile(join(folder, path), bytes, { flag: "wx", mode: 0o600 });
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function checkPath(path: string): void {
  const parts = path.split("/");
  if (parts.some((part) => part === "" || part === "." || part === "..") || path.includes("\0"))
    throw new PathRefused(`${JSON.stringify(path)} is no path inside the repository`);
}
