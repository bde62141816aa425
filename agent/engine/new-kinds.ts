import type { KubeObject } from "#proto/object.ts";
import { allDone } from "./all-done.ts";
import type { Context } from "./context.ts";

/** An edit of what an apply has just made may be seen so much later, and not more: an apply of thousands takes its time. */
export const unwatchedMs = 2_000;

/**
 * Kinds of what an apply writes, which nothing may have watched before. They are watched once it is written: one LIST of a
 * thousand new objects costs the server and the agent a fraction of an event of each.
 */
export type NewKinds = {
  /** Objects of these kinds are about to be written. */
  expect(objects: Iterable<KubeObject>): void;
  /** Begins to watch; resolves when all are listed. Before anything is waited for, and however the apply ends. */
  watch(): Promise<void>;
};

export function createNewKinds(context: Context): NewKinds {
  const { clock, signal } = context;
  const expected = new Map<string, { apiVersion: string; kind: string }>();
  let isDue: AbortController | undefined;
  let watching: Promise<void> = Promise.resolve();

  const watch = (): Promise<void> => {
    isDue?.abort();
    isDue = undefined;
    const kinds = [...expected.values()];
    expected.clear();
    watching = allDone(watching, ...kinds.map(({ apiVersion, kind }) => context.watch(apiVersion, kind)));
    // Heard by whoever waits for it, or not at all when the apply ends before.
    watching.catch(() => undefined);
    return watching;
  };
  return {
    expect(objects) {
      for (const { apiVersion, kind } of objects) expected.set(`${apiVersion} ${kind}`, { apiVersion, kind });
      if (expected.size === 0 || isDue !== undefined) return;
      isDue = new AbortController();
      clock.sleep(unwatchedMs, { signal: AbortSignal.any([signal, isDue.signal]) }).then(watch, () => undefined);
    },
    watch,
  };
}
