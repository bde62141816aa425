import type { ChildProcessByStdio } from "node:child_process";
import type { Readable } from "node:stream";

export type Collected = {
  readonly output: Buffer;
  /** What it wrote to stderr: the beginning, where a crash says its reason, and the end. */
  readonly complaint: string;
  /** How it ended; a sentence when we ended it. */
  readonly ended: string | { readonly code: number | null; readonly signal: NodeJS.Signals | null };
};

/** Of the beginning of a complaint, and of its end. */
const keptCharacters = 2_000;

/**
 * Everything that the leader of a process group says until it ends. The group is killed on abort, when it takes too
 * long, when it says too much, and in any case once its leader is gone.
 */
export function collect(
  child: ChildProcessByStdio<null, Readable, Readable>,
  limits: { readonly timeMs: number; readonly outputBytes: number },
  signal?: AbortSignal,
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
  child.stdout.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > limits.outputBytes) stop(`gives more than ${Math.round(limits.outputBytes / 2 ** 20)} MB of output`);
    else chunks.push(chunk);
  });
  child.stderr.on("data", (chunk: Buffer) => {
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
    signal?.removeEventListener("abort", aborted);
  });
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
