import pino from "pino";

/** A process's log: one JSON line a thing on stderr, so that stdout stays data. Never a manifest, a key or an error body. */
export type Log = {
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
};

export const createLog = (service: string, level = "info"): Log =>
  pino({ base: { service }, level, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ fd: 2, sync: true }));

export const silentLog: Log = { info: () => undefined, warn: () => undefined, error: () => undefined };

/** What may be said of an error: its message, and those of its causes. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${reasonOf(error.cause)}`;
}
