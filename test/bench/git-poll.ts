import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { figure, quantile, type BenchResult } from "#test/bench/figures.ts";
import { cpuMsOf } from "#test/harness/process-usage.ts";
import { startGitServer, type GitServer } from "#test/harness/git-server.ts";

/** So many looks a minute. */
const perMinute = 1_000;
const hints = 10;
const plainLooks = 40;

/**
 * What 1,000 looks a minute at unchanged repositories cost a hub: its processor's time, with that of every git that it
 * starts, as the kernel counts it, and the bytes that the server's connections carried.
 */
export async function gitPoll(quick: boolean): Promise<Pick<BenchResult, "runs" | "figures">> {
  const repositories = quick ? 60 : 1_000;
  const intervalMs = (repositories / perMinute) * 60_000;
  const windows = quick ? 1 : 3;
  await using server = await startGitServer();
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-git-poll-"));
  const first = await server.createRepository("r0");
  await server.commit("r0", "main", { "deploy/a.yaml": "a: 1\n" }, "first");
  for (let n = 1; n < repositories; n += 1) await server.copyRepository("r0", `r${n}`);
  const hub = fork(fileURLToPath(new URL("git-poll-hub.ts", import.meta.url)), [
    first,
    String(repositories),
    String(intervalMs),
    folder.path,
  ]);
  try {
    await answered(hub);
    const runs = [];
    for (let window = 0; window < windows; window += 1)
      runs.push(await measure(server, hub, Math.max(20_000, intervalMs)));
    const fetchMs = await hintToFetch(server, hub);
    const plainMs = await plainLookMs(first);
    return {
      runs: windows,
      figures: {
        cpuPercent: figure(
          runs.map(({ cpuPercent }) => cpuPercent),
          "%",
          5,
        ),
        bytesPerPoll: figure(
          runs.map(({ bytesPerPoll }) => bytesPerPoll),
          "bytes",
          2_048,
        ),
        connectionsPerPoll: figure(
          runs.map(({ connectionsPerPoll }) => connectionsPerPoll),
          "opened",
          0.5,
        ),
        hintToFetchMs: figure(
          [
            quantile(
              fetchMs.sort((a, b) => a - b),
              0.5,
            ),
          ],
          "ms",
          20,
        ),
        plainCpuPercent: {
          ...figure([(plainMs * perMinute) / 600], "%", Infinity),
          goal: "git ls-remote, for comparison",
        },
      },
    };
  } finally {
    if (hub.connected) {
      hub.disconnect();
      await once(hub, "exit");
    }
  }
}

/** Its next word; a hub that ends says none. */
async function answered(hub: ChildProcess): Promise<void> {
  const asked = new AbortController();
  const isOver = once(hub, "exit", { signal: asked.signal }).then(() => {
    throw new Error("the hub that looks has ended");
  });
  try {
    await Promise.race([once(hub, "message", { signal: asked.signal }), isOver]);
  } finally {
    asked.abort();
  }
}

async function measure(server: GitServer, { pid }: ChildProcess, windowMs: number) {
  const before = {
    cpu: await cpuMsOf(pid!, { withChildren: true }),
    asked: server.asked(),
    bytes: server.bytes(),
    opened: server.connections(),
  };
  const started = performance.now();
  await new Promise((resolve) => setTimeout(resolve, windowMs));
  const looks = server.asked() - before.asked;
  const minutes = (performance.now() - started) / 60_000;
  const cpu = (await cpuMsOf(pid!, { withChildren: true })) - before.cpu;
  return {
    // As if it had been exactly so many looks: a window ends between two.
    cpuPercent: (cpu / (minutes * 60_000)) * 100 * (perMinute / (looks / minutes)),
    bytesPerPoll: (server.bytes() - before.bytes) / looks,
    // The server ends connections that are idle for 5 s, and looks that overlap take one each.
    connectionsPerPoll: (server.connections() - before.opened) / looks,
  };
}

/** From the hint to the request for the fetch itself. */
async function hintToFetch(server: GitServer, hub: ChildProcess): Promise<number[]> {
  const took: number[] = [];
  for (let hint = 0; hint < hints; hint += 1) {
    await server.commit("r0", "main", { "deploy/a.yaml": `a: ${hint + 2}\n` }, "next");
    const asked = Promise.withResolvers<void>();
    server.onRequest = (name, service) => void (name === "r0" && service === "fetch" && asked.resolve());
    const started = performance.now();
    hub.send("r0");
    await asked.promise;
    took.push(performance.now() - started);
    await answered(hub);
    server.onRequest = () => undefined;
  }
  return took;
}

/** Processor time of one `git ls-remote`, as a hub without a client of its own would start it. */
async function plainLookMs(url: string): Promise<number> {
  const { execFile } = await import("node:child_process");
  const { promisify } = await import("node:util");
  const before = await cpuMsOf(process.pid, { withChildren: true });
  const own = process.cpuUsage();
  for (let look = 0; look < plainLooks; look += 1)
    await promisify(execFile)("git", ["ls-remote", url, "refs/heads/main"]);
  const spent = process.cpuUsage(own);
  return (
    ((await cpuMsOf(process.pid, { withChildren: true })) - before - (spent.user + spent.system) / 1_000) / plainLooks
  );
}
