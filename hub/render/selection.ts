import { posix } from "node:path";
import picomatch from "picomatch";
import type { ManifestFile } from "#hub/render/objects.ts";

/** Globs of plain files, each against the path below the folder; `*` stays within a folder, `**` does not. */
export type Selection = {
  readonly folder: string;
  /** Empty: every file. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
};

/** What kubectl would read in a folder, whoever wrote its name on Windows. */
export const isManifest = ({ path }: Pick<ManifestFile, "path">): boolean => /\.(ya?ml|json)$/i.test(path);

// A leading dot is a letter like any other. Extended globs are regular expressions of another spelling.
const options = { dot: true, noextglob: true };

/** The files that an Application's globs leave. Exclude wins. */
export function selected(files: readonly ManifestFile[], { folder, include, exclude }: Selection): ManifestFile[] {
  const isIncluded = include.length === 0 ? () => true : picomatch([...include], options);
  const isExcluded = exclude.length === 0 ? () => false : picomatch([...exclude], options);
  return files.filter(({ path }) => {
    const below = posix.relative(folder, path);
    return isIncluded(below) && !isExcluded(below);
  });
}
