import { spawn, type ChildProcess, type ChildProcessWithoutNullStreams } from "node:child_process";
import { redact } from "#hub/git/address.ts";
import { limited, overLimit, thriftySettings, type GitLimits } from "#hub/git/limits.ts";
import { sshCommand, sshRefusal } from "#hub/git/ssh.ts";

/** More than any list of a repository within our limits; a larger answer is an error, not a full memory. */
const maxOutputBytes = 64 * 1024 * 1024;
/** Below 1 KB/s for 20 s the server is not sending, it is holding us. */
const lowSpeed = { GIT_HTTP_LOW_SPEED_LIMIT: "1000", GIT_HTTP_LOW_SPEED_TIME: "20" };

/** A bare repository, the PATH in which git and ssh are found, and the program that limits what git may use. */
export type BareRepository = {
  readonly directory: string;
  readonly searchPath: string;
  readonly prlimit?: string | undefined;
};

export type GitOptions = {
  readonly input?: string | Uint8Array;
  readonly signal?: AbortSignal | undefined;
  /** An index of its own for this command: a bare repository has none. */
  readonly indexFile?: string;
  /** Settings for this one command, kept out of argv, where any process could read them. */
  readonly config?: Readonly<Record<string, string>>;
  /** Holds where there is a program that limits. */
  readonly limits?: GitLimits;
  /** A larger answer is not kept: AnswerTooLarge. */
  readonly maxOutputBytes?: number;
  /** Hears what git said although it did as it was told: it may throw. */
  readonly warned?: (warning: string) => void;
  /** Where its files lie, for the few commands that look at them. */
  readonly workTree?: string;
  /** Speaks to this ssh:// address with the key and the host keys in this folder. */
  readonly ssh?: { readonly folder: string; readonly address: string };
};

/** A git command that failed. The message is git's own last words, without credentials. */
export class GitFailed extends Error {
  override readonly name: string = "GitFailed";
}

/** More than was asked to be kept. */
export class AnswerTooLarge extends GitFailed {
  override readonly name = "AnswerTooLarge";
}

/** The server is not the one that was expected, or turned us away: nothing was changed, and people have to do something. */
export class AccessRefused extends GitFailed {
  override readonly name = "AccessRefused";
}

/** Starts git in a bare repository with a fixed environment: no user's settings, no prompt, no protocol but ours. */
export function startGit(
  { directory, searchPath, prlimit }: BareRepository,
  arguments_: readonly string[],
  options: GitOptions = {},
): ChildProcessWithoutNullStreams {
  const fence = options.limits === undefined || prlimit === undefined ? [] : limited(prlimit, options.limits);
  const workTree = options.workTree === undefined ? [] : [`--work-tree=${options.workTree}`];
  const [program, ...rest] = [...fence, "git", `--git-dir=${directory}`, ...workTree, ...arguments_] as [
    string,
    ...string[],
  ];
  return spawn(program, rest, {
    env: { PATH: searchPath, ...environment(options) },
    cwd: options.ssh?.folder ?? options.workTree,
    // A group of its own, so that git's helpers end with it.
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
  });
}

/** Ends a git that was started here, with its helpers. */
export function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  process.kill(-child.pid, "SIGKILL");
}

/** Runs git to its end, and gives what it wrote to stdout. */
export async function git(
  repository: BareRepository,
  arguments_: readonly string[],
  options: GitOptions = {},
): Promise<Buffer> {
  options.signal?.throwIfAborted();
  const maxBytes = options.maxOutputBytes ?? maxOutputBytes;
  const child = startGit(repository, arguments_, options);
  const endGroup = (): void => killGroup(child);
  options.signal?.addEventListener("abort", endGroup, { once: true });
  const output: Buffer[] = [];
  let bytes = 0;
  let complaint = "";
  child.stdout.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > maxBytes) endGroup();
    else output.push(chunk);
  });
  child.stderr.on("data", (chunk: Buffer) => (complaint = (complaint + chunk.toString("utf8")).slice(-4_000)));
  // A git that ended before it read everything says so by its exit code.
  child.stdin.on("error", () => undefined);
  child.stdin.end(options.input ?? "");
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    options.signal?.throwIfAborted();
    if (bytes > maxBytes)
      throw new AnswerTooLarge(`git ${arguments_[0]}: answer is larger than ${Math.round(maxBytes / 2 ** 20)} MiB`);
    if (code !== 0) throw failureOf(arguments_, complaint, options);
    options.warned?.(complaint);
    return Buffer.concat(output);
  } finally {
    options.signal?.removeEventListener("abort", endGroup);
  }
}

/** Why git failed, from its last words. */
export function failureOf(arguments_: readonly string[], complaint: string, { limits, ssh }: GitOptions): GitFailed {
  const over = limits && overLimit(complaint, limits);
  if (over !== undefined) return new GitFailed(`git ${arguments_[0]}: was ended: ${over}`);
  const refusal = ssh && sshRefusal(ssh.address, complaint);
  if (refusal !== undefined) return new AccessRefused(refusal);
  return new GitFailed(`git ${arguments_[0]}: ${lastWords(complaint)}`);
}

/**
 * What older writers of Git wrote into histories that nobody can mend any more, and that harms nobody: names, addresses and times of
 * people in another form, and file modes with a zero in front. What may mislead git or us stays an error.
 */
const oldWriters = Object.fromEntries(
  [
    "badEmail",
    "badTimezone",
    "missingEmail",
    "missingNameBeforeEmail",
    "missingSpaceBeforeDate",
    "missingSpaceBeforeEmail",
    "multipleAuthors",
    "zeroPaddedDate",
    "zeroPaddedFilemode",
  ].map((kind) => [`fetch.fsck.${kind}`, "ignore"]),
);

function environment({ config, indexFile, ssh }: GitOptions): Record<string, string> {
  const settings = Object.entries({
    "http.followRedirects": "false",
    "fetch.fsckObjects": "true",
    ...oldWriters,
    "protocol.version": "2",
    "gc.auto": "0",
    "maintenance.auto": "false",
    ...thriftySettings,
    ...config,
  });
  return {
    LC_ALL: "C",
    HOME: "/nonexistent",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_TERMINAL_PROMPT: "0",
    ...(ssh === undefined
      ? { GIT_ALLOW_PROTOCOL: "http:https" }
      : { GIT_ALLOW_PROTOCOL: "ssh", GIT_SSH_COMMAND: sshCommand, GIT_SSH_VARIANT: "ssh" }),
    ...(indexFile === undefined ? {} : { GIT_INDEX_FILE: indexFile }),
    GIT_NO_REPLACE_OBJECTS: "1",
    ...lowSpeed,
    GIT_CONFIG_COUNT: String(settings.length),
    ...Object.fromEntries(
      settings.flatMap(([key, value], n) => [
        [`GIT_CONFIG_KEY_${n}`, key],
        [`GIT_CONFIG_VALUE_${n}`, value],
      ]),
    ),
  };
}

/** What git says after every failure over ssh, whatever it was. */
const advice = ["Please make sure you have the correct access rights", "and the repository exists."];

/** What the remote's hook said goes first: git's own last lines only say that it declined. */
function lastWords(complaint: string): string {
  const lines = complaint.split("\n").filter((line) => line !== "" && !advice.includes(line));
  const remote = lines.filter((line) => line.startsWith("remote:")).slice(-2);
  return redact([...remote, ...lines.slice(-3).filter((line) => !remote.includes(line))].join("; ")) || "failed";
}
