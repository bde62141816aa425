import type { Clock } from "#lib/clock.ts";
import type { ApplicationStatus } from "#proto/gen/plumbline/agent/v1/agent.ts";
import type { ApplicationName } from "#proto/ids.ts";
import type { Context } from "./context.ts";
import type { ApplicationState } from "./model.ts";
import { tellReceipts } from "./receipts.ts";
import { statusOf } from "./status.ts";

/** What changed is told once a turn of the event loop, however much of it changed. */
export type Telling = {
  touched(application: ApplicationState): void;
  /** Resolves true when `holds` does, false after `limitMs`. Asked again whenever anything was touched. */
  until(holds: () => boolean, limitMs: number, signal: AbortSignal): Promise<boolean>;
  /** Whether nothing is left to tell. */
  readonly isDone: boolean;
};

export function createTelling(clock: Clock, tell: (touched: ReadonlySet<ApplicationState>) => void): Telling {
  const waiters = new Set<() => void>();
  let dirty = new Set<ApplicationState>();
  const turn = (): void => {
    const touched = dirty;
    dirty = new Set();
    tell(touched);
    for (const look of waiters) look();
  };
  return {
    get isDone() {
      return dirty.size === 0;
    },
    touched(application) {
      if (dirty.size === 0) setImmediate(turn);
      dirty.add(application);
    },
    async until(holds, limitMs, signal) {
      if (holds()) return true;
      const limit = new AbortController();
      const both = AbortSignal.any([signal, limit.signal]);
      return new Promise<boolean>((resolve, reject) => {
        const done = (value: boolean): void => {
          waiters.delete(look);
          limit.abort();
          resolve(value);
        };
        const look = (): void => (holds() ? done(true) : undefined);
        waiters.add(look);
        clock.sleep(limitMs, { signal: both }).then(
          () => done(false),
          (error: unknown) => {
            waiters.delete(look);
            if (signal.aborted) reject(error);
          },
        );
      });
    },
  };
}

/** Tells receipts, and each status that is another than the one told last. */
export function createStatusTeller(
  context: Context,
  onStatus: (status: ApplicationStatus) => void,
): (application: ApplicationState) => void {
  const told = new Map<ApplicationName, string>();
  return (application) => {
    tellReceipts(context, application);
    const status = statusOf(context, application);
    const text = textOf(status);
    if (told.get(application.name) === text) return;
    told.set(application.name, text);
    onStatus(status);
  };
}

const textOf = (status: ApplicationStatus): string =>
  JSON.stringify({ ...status, atMs: "", generation: "" }, (_key, value: unknown) =>
    typeof value === "bigint" ? String(value) : value,
  );
