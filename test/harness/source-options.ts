import type { SourceOptions } from "#hub/loop/sources.ts";
import { systemClock } from "#lib/clock.ts";
import { silentLog } from "#lib/log.ts";

/** How repositories on this machine are followed: looked at once, and then only when somebody asks. */
export const sourceOptions = (
  dataFolder: string,
  signal: AbortSignal,
  more: Partial<SourceOptions> = {},
): SourceOptions => ({
  dataFolder,
  searchPath: process.env["PATH"] ?? "",
  allowedHosts: new Set(["127.0.0.1"]),
  intervalMs: 3_600_000,
  clock: systemClock,
  log: silentLog,
  signal,
  onMove: () => undefined,
  ...more,
});
