import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "#lib/clock.ts";

const waitMs = 15_000;

/**
 * Ends the nats-server that a hub left behind when it was killed: two servers on one store would spoil it. Only where
 * /proc tells that the process with that id is one and runs from this directory; elsewhere the port tells.
 */
export async function endPredecessor(directory: string): Promise<void> {
  const pid = Number(await readFile(join(directory, "nats.pid"), "utf8").catch(() => "0"));
  if (!(await runsFrom(directory, pid))) return;
  process.kill(pid, "SIGTERM");
  const deadline = systemClock.monotonic() + waitMs;
  while (await runsFrom(directory, pid)) {
    if (systemClock.monotonic() > deadline)
      throw new Error(`another nats-server (process ${pid}) still uses ${directory}: end it, then start again`);
    await systemClock.sleep(20);
  }
}

async function runsFrom(directory: string, pid: number): Promise<boolean> {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  const words = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
  return words.includes("nats-server") && words.split("\0").includes(join(directory, "nats.conf"));
}
