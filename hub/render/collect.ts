import type { ChildProcess } from "node:child_process";

export type Collected = {
  /** What it wrote to stdout, where that is a pipe to us. */
  readonly output: Buffer;
  /** What it wrote to stderr: the beginning, where a crash says its reason, and the end. */
  readonly complaint: string;
  /** How it ended; a sentence when we ended it. */
  readonly ended: string | { readonly code: number | null; readonly signal: NodeJS.Signals | null };
};

/** A file that takes its stdout, at most as large as it may be: what is over is only known by its size. */
type Written = { size(): Promise<number> };

/** A child that cannot write on may go on for as long as it is let. Most end before the first look. */
const lookEveryMs = 500;
/** Of the beginning of a complaint, and of its end. */
const keptCharacters = 2_000;

/**
 * Everything that the leader of a process group says until it ends. The group is killed on abort, when it takes too
 * long, when it says too much, and in any case once its leader is gone.
 */
export function collect(
  child: Pick<ChildProcess, "pid" | "stdout" | "stderr" | "once">,
  limits: { readonly timeMs: number; readonly outputBytes: number },
  { signal, written }: { readonly signal?: AbortSignal | undefined; readonly written?: Written | undefined },
): Promise<Collected> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  let begin = "";
  let end = "";
  let stopped: string | undefined;
  const stop = (because: string): void => {
    stopped ??= because;
    killGroup(child.pid);
  };
  const aborted = (): void => stop("aborted");
  signal?.addEventListener("abort", aborted, { once: true });
  const limit = setTimeout(() => stop(`takes more than ${limits.timeMs / 1000} s`), limits.timeMs);
  child.stdout?.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > limits.outputBytes) stop(tooMuch(limits));
    else chunks.push(chunk);
  });
  const look = setInterval(() => {
    // A file that cannot be asked for its size is closed: the child has ended.
    written?.size().then(
      (size) => size >= limits.outputBytes && stop(tooMuch(limits)),
      () => undefined,
    );
  }, lookEveryMs);
  child.stderr?.on("data", (chunk: Buffer) => {
    const text = chunk.toString("utf8");
    const taken = Math.max(0, keptCharacters - begin.length);
    begin += text.slice(0, taken);
    end = (end + text.slice(taken)).slice(-keptCharacters);
  });
  // What it left behind would hold its pipes open for ever.
  child.once("exit", () => killGroup(child.pid));
  return new Promise<Collected>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, killedBy) =>
      resolve({ output: Buffer.concat(chunks), complaint: begin + end, ended: stopped ?? { code, signal: killedBy } }),
    );
    if (signal?.aborted) aborted();
  }).finally(() => {
    clearTimeout(limit);
    clearInterval(look);
    signal?.removeEventListener("abort", aborted);
  });
}

export const tooMuch = ({ outputBytes }: { readonly outputBytes: number }): string =>
  `gives more than ${Math.round(outputBytes / 2 ** 20)} MB of output`;

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
