import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";

/** How long a server may take to end after SIGTERM before it is killed. */
const graceMs = 10_000;
/** Enough of a server's last words to see why it failed, without keeping a chatty one's whole life. */
const keptLogBytes = 256 * 1024;

/** A real child process, ended with the scope that holds it, its output kept. */
export type RunningProcess = AsyncDisposable & {
  readonly pid: number;
  readonly child: ChildProcess;
  /** The last 256 KiB of stdout and stderr together. */
  log(): string;
  /** Resolves when the process has ended. */
  readonly ended: Promise<void>;
  kill(signal: NodeJS.Signals): Promise<void>;
};

export function startProcess(
  command: string,
  arguments_: readonly string[],
  options: { env?: NodeJS.ProcessEnv; cwd?: string } = {},
): RunningProcess {
  const child = spawn(command, arguments_, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  const keep = (chunk: Buffer): void => {
    log = (log + chunk.toString("utf8")).slice(-keptLogBytes);
  };
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  const ended = new Promise<void>((resolve) => {
    child.once("close", () => resolve());
    child.once("error", (error) => {
      keep(Buffer.from(`could not start: ${error.message}\n`));
      resolve();
    });
  });
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
  const kill = async (signal: NodeJS.Signals): Promise<void> => {
    if (!hasEnded()) child.kill(signal);
    await ended;
  };
  return {
    pid: child.pid ?? -1,
    child,
    ended,
    kill,
    log: () => log,
    async [Symbol.asyncDispose]() {
      const timer = setTimeout(() => child.kill("SIGKILL"), graceMs);
      await kill("SIGTERM").finally(() => clearTimeout(timer));
    },
  };
}

/** Asks `isReady` every 20 ms until it says yes. Fails at once, with the log and the last answer, when the process ends first. */
export async function untilReady(
  process: RunningProcess,
  what: string,
  isReady: () => Promise<boolean>,
  limitMs = 60_000,
): Promise<void> {
  const deadline = Date.now() + limitMs;
  let over = false;
  void process.ended.then(() => (over = true));
  let refusal: unknown = "it said no";
  const ask = (): Promise<boolean> =>
    isReady().catch((error: unknown) => {
      refusal = error;
      return false;
    });
  while (!(await ask())) {
    const failed = over
      ? "ended before it was ready"
      : Date.now() > deadline
        ? `was not ready after ${limitMs} ms`
        : "";
    if (failed !== "") throw new Error(`${what} ${failed}:\n${process.log()}`, { cause: refusal });
    await once(AbortSignal.timeout(20), "abort");
  }
}
