import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, open, rm, type FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { isAbsolute, join } from "node:path";
import { collect, tooMuch } from "#hub/render/collect.ts";

/** What one run may use. Past any of them it is ended, with everything that it started. */
export type FenceLimits = {
  readonly timeMs: number;
  readonly cpuSeconds: number;
  /** Address space, of which a Go program reserves a good part before it uses any. */
  readonly memoryBytes: number;
  readonly outputBytes: number;
};

export type FencedRun = {
  /** Absolute: the child has no PATH, and neither has what it would start. */
  readonly binary: string;
  readonly arguments: readonly string[];
  readonly directory: string;
  readonly limits: FenceLimits;
  /** Besides the little that every child gets. */
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
};

export type FencedOutcome =
  | { readonly kind: "done"; readonly output: Buffer }
  /** It ended by itself with a complaint: its own last words. */
  | { readonly kind: "failed"; readonly complaint: string }
  /** It said more than it may, and would say it again. */
  | { readonly kind: "verbose"; readonly because: string }
  /** A limit of time or memory ended it. */
  | { readonly kind: "over"; readonly because: string }
  /** It was not run: this machine could not put up the fence, or start it, this time. */
  | { readonly kind: "unfenced"; readonly because: string };

/** Runs a program that reads what strangers wrote. */
export type Fence = {
  /** One sentence for each protection that this machine does not offer. */
  readonly missing: readonly string[];
  /** Rejects only when aborted, or when the program cannot be started. */
  run(command: FencedRun): Promise<FencedOutcome>;
};

/** Paths of the two system programs that the fence is made of. */
export type FenceTools = { readonly prlimit: string; readonly unshare: string };

// User and network of its own, so that nothing outside is reachable; processes of its own, so that none outlives it.
const unshareArguments = ["--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child=KILL", "--"];

/** Finds out what this machine can enforce. A missing fence is said, and the others still hold. */
export async function openFence({ prlimit, unshare }: FenceTools): Promise<Fence> {
  const limits = isThere(prlimit) && (await succeeds(prlimit, ["--core=0", "--", prlimit, "--version"]));
  const apart = isThere(unshare) && (await succeeds(unshare, [...unshareArguments, unshare, "--version"]));
  return {
    missing: [
      ...(limits ? [] : ["no CPU and memory limits: prlimit (util-linux) is not there or does not work"]),
      ...(apart ? [] : ["the network is not cut off: unshare --user --net is not there or not allowed here"]),
    ],
    run: (command) =>
      runFenced(
        command,
        [
          ...(apart ? [unshare, ...unshareArguments] : []),
          ...(limits ? [prlimit, ...prlimitArguments(command.limits), "--"] : []),
        ],
        limits,
      ),
  };
}

const isThere = (program: string): boolean => isAbsolute(program) && existsSync(program);

// The hard CPU limit is the soft one: a Go program ignores the soft limit's signal.
const prlimitArguments = ({ cpuSeconds, memoryBytes, outputBytes }: FenceLimits): string[] => [
  `--cpu=${cpuSeconds}:${cpuSeconds}`,
  `--as=${memoryBytes}:${memoryBytes}`,
  `--fsize=${outputBytes}:${outputBytes}`,
  "--core=0:0",
];

async function runFenced(command: FencedRun, prefix: readonly string[], isLimited: boolean): Promise<FencedOutcome> {
  const { binary, directory, limits, signal } = command;
  signal?.throwIfAborted();
  const home = await mkdtemp(join(tmpdir(), "plumbline-home-"));
  // Where nothing limits the size of a file, what it says is counted as it says it.
  await using written = isLimited ? await openOutput(home) : undefined;
  try {
    const [program, ...arguments_] = [...prefix, binary, ...command.arguments] as [string, ...string[]];
    const child = spawn(program, arguments_, {
      cwd: directory,
      env: { ...command.env, HOME: home, TMPDIR: home, PATH: "", LC_ALL: "C" },
      // A group of its own, so that whatever it starts ends with it.
      detached: true,
      stdio: ["ignore", written?.handle.fd ?? "pipe", "pipe"],
    });
    const { output, complaint, ended } = await collect(child, limits, { signal, written });
    signal?.throwIfAborted();
    const isVerbose = ended === tooMuch(limits) || (written && (await written.size()) >= limits.outputBytes);
    if (isVerbose === true) return { kind: "verbose", because: tooMuch(limits) };
    if (typeof ended === "string") return { kind: "over", because: ended };
    if (ended.code === 0) return { kind: "done", output: (await written?.read()) ?? output };
    if (ended.signal !== null || ended.code === 137)
      return { kind: "over", because: `used more than ${limits.cpuSeconds} s of processor time` };
    // What a chart says begins with the name of its own program.
    if (prefix.length > 0 && /^(?:unshare|prlimit): /.test(complaint))
      return { kind: "unfenced", because: `cannot be fenced in here: ${complaint.trim()}` };
    // The Go runtime, and the C library, when the system gives no more threads or processes.
    if (/^(?:runtime|fatal error)\b.*(?:temporarily unavailable|new OS thread)/im.test(complaint))
      return { kind: "unfenced", because: "gets no more threads from this machine" };
    if (/out of memory|cannot allocate memory/i.test(complaint))
      return { kind: "over", because: `needs more than ${Math.round(limits.memoryBytes / 2 ** 20)} MB of memory` };
    return { kind: "failed", complaint };
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}

type Output = AsyncDisposable & {
  readonly handle: FileHandle;
  size(): Promise<number>;
  read(): Promise<Buffer>;
};

/**
 * A file without a name, so that nothing can be put in its place. A pipe would wake us for every 64 KiB and stop the child
 * until we come; with two children at once that takes a quarter of their time.
 */
async function openOutput(folder: string): Promise<Output> {
  const path = join(folder, "output");
  const handle = await open(path, "wx+", 0o600);
  await rm(path);
  const size = async (): Promise<number> => (await handle.stat()).size;
  return {
    handle,
    size,
    async read() {
      const bytes = Buffer.allocUnsafe(await size());
      const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0);
      return bytes.subarray(0, bytesRead);
    },
    [Symbol.asyncDispose]: () => handle.close(),
  };
}

function succeeds(program: string, arguments_: readonly string[]): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(program, arguments_, { env: { PATH: "" }, stdio: "ignore" });
    child.once("error", () => resolve(false));
    child.once("close", (code) => resolve(code === 0));
  });
}
