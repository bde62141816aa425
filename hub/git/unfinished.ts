import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";

/** What a git that was killed left of a pack: a server that is slow or vicious could otherwise fill the disk, try by try. */
export async function sweepUnfinished(directory: string): Promise<void> {
  const packs = join(directory, "objects", "pack");
  const names = await readdir(packs).catch((): string[] => []);
  const unfinished = names.filter((name) => name.startsWith("tmp_") || name.startsWith(".tmp-"));
  await Promise.all(unfinished.map((name) => rm(join(packs, name), { force: true })));
}
