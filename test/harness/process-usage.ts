import { readFile } from "node:fs/promises";

/** Of /proc/PID/stat, in the kernel's own unit: USER_HZ is 100 on every Linux. */
const tickMs = 10;

/** User and system time of a process so far, in ms; `withChildren`: and of those that it waited for. */
export async function cpuMsOf(pid: number, { withChildren = false } = {}): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  // A program's name may hold anything, also spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields.slice(11, withChildren ? 15 : 13).reduce((sum, ticks) => sum + Number(ticks), 0) * tickMs;
}

/** What a process holds in memory now, in KB. */
export async function rssKbOf(pid: number): Promise<number> {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1]);
}
