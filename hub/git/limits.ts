/** What one git command may use while it reads what strangers packed. Past any of them it ends, and its work with it. */
export type GitLimits = {
  /** Address space. */
  readonly memoryBytes: number;
  /** Of one file that it writes: a pack. */
  readonly fileBytes: number;
  readonly cpuSeconds: number;
};

/**
 * The Linux kernel's whole history is a pack of 5 GB and takes git 700 MB; a fleet's repository is a hundredth of it. A
 * few kilobytes of a malicious pack can ask for any amount of memory.
 */
export const strangersLimits: GitLimits = { memoryBytes: 2 * 2 ** 30, fileBytes: 4 * 2 ** 30, cpuSeconds: 120 };

/** The command that sets them, before git's own; the soft CPU limit is the hard one, as git ignores its signal. */
export const limited = (prlimit: string, { memoryBytes, fileBytes, cpuSeconds }: GitLimits): readonly string[] => [
  prlimit,
  `--as=${memoryBytes}:${memoryBytes}`,
  `--fsize=${fileBytes}:${fileBytes}`,
  `--cpu=${cpuSeconds}:${cpuSeconds}`,
  "--core=0:0",
  "--",
];

/** So that git itself stays well below: it maps packs and keeps bases of deltas in memory as it likes otherwise. */
export const thriftySettings = {
  "core.packedGitWindowSize": "16m",
  "core.packedGitLimit": "256m",
  "core.deltaBaseCacheLimit": "32m",
  // What is larger goes to disk as it comes, and is never read by us.
  "core.bigFileThreshold": "8m",
  "pack.threads": "2",
} as const;

/** Why a limit ended a command, from its last words; undefined when none did. */
export function overLimit(complaint: string, { memoryBytes, fileBytes }: GitLimits): string | undefined {
  if (/out of memory|cannot allocate|mmap failed|malloc failed/i.test(complaint))
    return `it needs more than ${Math.round(memoryBytes / 2 ** 20)} MiB of memory`;
  if (/died of signal 25|file too large/i.test(complaint))
    return `it holds more than ${Math.round(fileBytes / 2 ** 20)} MiB`;
  return undefined;
}
