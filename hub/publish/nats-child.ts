import { execFile, spawn, type ChildProcess } from "node:child_process";
import { mkdir, open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import type { NatsIdentity } from "#hub/identity/nats-jwt.ts";
import { natsConfig, type NatsFiles, type NatsListen } from "#hub/publish/nats-config.ts";
import { endPredecessor } from "#hub/publish/nats-predecessor.ts";
import { prepareStore } from "#hub/publish/nats-store.ts";
import { requireNatsVersion } from "#hub/publish/nats-version.ts";
import { systemClock } from "#lib/clock.ts";

const run = promisify(execFile);
const readyWithinMs = 30_000;
const endWithinMs = 15_000;
/** What the server says before it has read where its log is. */
const startLog = "nats-start.log";

export type NatsChildOptions = {
  /** Absolute path of the nats-server program. */
  readonly binary: string;
  /** Holds configuration, claims, streams and log: made when absent, readable by this user alone. */
  readonly directory: string;
  readonly identity: Pick<NatsIdentity, "operatorJwt" | "systemAccount" | "accounts" | "streamsAccount">;
  readonly listen: NatsListen;
  readonly tls?: { readonly certificatePem: string; readonly keyPem: string } | undefined;
  /** Ends the wait for the start, not the server. */
  readonly signal?: AbortSignal | undefined;
};

/** A running nats-server, ended with the scope that holds it. It is never restarted: whoever holds it decides. */
export type NatsChild = AsyncDisposable & {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Resolves when the process has ended, for whatever reason, with a sentence that says how. */
  readonly exited: Promise<string>;
};

/** Starts the broker of a single-machine hub. Throws NatsTooOld before anything is started. */
export async function startNatsChild(options: NatsChildOptions): Promise<NatsChild> {
  const { binary, identity, listen, tls, signal } = options;
  const directory = resolve(options.directory);
  requireNatsVersion((await run(binary, ["--version"], { signal })).stdout);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await endPredecessor(directory);
  await prepareStore(directory, identity.streamsAccount);
  const files = tls === undefined ? undefined : await writeTls(directory, tls);
  const config = join(directory, "nats.conf");
  await writePrivate(config, natsConfig(directory, identity, listen, files));
  await Promise.all((await portsFiles(directory)).map((file) => rm(file, { force: true })));

  // A group of its own: Ctrl-C reaches the hub alone, which first puts its work down and then ends its broker.
  await using words = await open(join(directory, startLog), "w", 0o600);
  const stdio = ["ignore", "ignore", words.fd] as const;
  const child = spawn(binary, ["-c", config], { stdio: [...stdio], env: {}, cwd: directory, detached: true });
  const exited = exitOf(child);
  const dispose = (): Promise<void> => end(child, exited);
  try {
    const port = await untilListening(directory, exited, signal);
    const host = listen.host === "0.0.0.0" || listen.host === "::" ? "127.0.0.1" : listen.host;
    const url = `${tls === undefined ? "nats" : "tls"}://${host.includes(":") ? `[${host}]` : host}:${port}`;
    return { url, port, pid: child.pid!, exited, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** The server writes this file, named after its pid, once it takes connections. */
async function untilListening(directory: string, exited: Promise<string>, signal?: AbortSignal): Promise<number> {
  const deadline = systemClock.monotonic() + readyWithinMs;
  let ended: string | undefined;
  void exited.then((how) => (ended = how));
  for (;;) {
    const [file] = await portsFiles(directory);
    const port = file === undefined ? undefined : portIn(await readFile(file, "utf8"));
    if (port !== undefined) return port;
    if (ended !== undefined) throw new Error(`nats-server ${ended} before it was ready: ${await lastWords(directory)}`);
    if (systemClock.monotonic() > deadline)
      throw new Error(`nats-server was not ready after ${readyWithinMs / 1000} s`);
    await systemClock.sleep(10, { signal });
  }
}

// Empty while it is being written.
const portIn = (text: string): number | undefined => {
  const port = /"nats":\s*\[\s*"[^"]*:(\d+)"/.exec(text)?.[1];
  return port === undefined ? undefined : Number(port);
};

async function portsFiles(directory: string): Promise<string[]> {
  const names = await readdir(directory);
  return names.filter((name) => name.endsWith(".ports")).map((name) => join(directory, name));
}

const exitOf = (child: ChildProcess): Promise<string> =>
  new Promise((resolve) => {
    child.once("exit", (code, signal) =>
      resolve(signal === null ? `ended with code ${code}` : `was ended by ${signal}`),
    );
    child.once("error", (error) => resolve(`could not be started (${error.message})`));
  });

async function end(child: ChildProcess, exited: Promise<string>): Promise<void> {
  const timer = setTimeout(() => child.kill("SIGKILL"), endWithinMs);
  child.kill("SIGTERM");
  await exited;
  clearTimeout(timer);
}

async function lastWords(directory: string): Promise<string> {
  const start = await readFile(join(directory, startLog), "utf8");
  const log = await readFile(join(directory, "nats.log"), "utf8").catch(() => "");
  return `${log}${start}`.trim().split("\n").slice(-3).join(" | ") || "it left no log";
}

async function writeTls(directory: string, tls: { certificatePem: string; keyPem: string }): Promise<NatsFiles> {
  const files = { certificate: join(directory, "tls.crt"), key: join(directory, "tls.key") };
  await writePrivate(files.certificate, tls.certificatePem);
  await writePrivate(files.key, tls.keyPem);
  return files;
}

// `mode` counts only for a file that is made; one that was there keeps its own.
async function writePrivate(path: string, text: string): Promise<void> {
  await rm(path, { force: true });
  await writeFile(path, text, { mode: 0o600 });
}
