import { readFile, writeFile } from "node:fs/promises";

/** A process's memory as the kernel counts it: forgets the peak, and tells the one since then in MB. */
export type Peak = { reset(): Promise<void>; megabytes(): Promise<number> };

export function peakOf(pid: number): Peak {
  return {
    reset: () => writeFile(`/proc/${pid}/clear_refs`, "5"),
    async megabytes() {
      const status = await readFile(`/proc/${pid}/status`, "utf8");
      return Math.round(Number(/VmHWM:\s+(\d+)/.exec(status)![1]) / 1024);
    },
  };
}
