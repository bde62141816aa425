import type { ClusterReader } from "#agent/cluster/cluster.ts";
import type { Owned } from "#agent/state/head.ts";
import type { Clock } from "#lib/clock.ts";
import { reasonOf, type Log } from "#lib/log.ts";
import type { KubeObject } from "#proto/object.ts";
import { addressOfKey } from "./context.ts";
import type { Tracked } from "./model.ts";
import { oneByOne } from "./one-by-one.ts";

/** Between two objects: whatever is due at one time, this many requests a second are the most. */
const spacingMs = 100;
/** A look that failed is made again after so long. */
const againMs = 30_000;
const longestSleepMs = 3_600_000;

type Parts = {
  readonly cluster: ClusterReader;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** What is owned under that key; undefined when it is none of ours any more. */
  readonly owned: (tracked: Tracked) => Owned | undefined;
  readonly judge: (object: KubeObject) => void;
};

/**
 * Judges objects again when their verdict is another by time alone: a deadline passes without an event, most of all
 * where the controller is away that would write one. Each costs one GET, for objects are not kept.
 */
export type VerdictsInTime = {
  /** `atMs`: epoch milliseconds of the next verdict, if nothing is written before; undefined: none comes by itself. */
  note(tracked: Tracked, atMs: number | undefined): void;
  /** Resolves when no look is under way. */
  idle(): Promise<void>;
  ended(): Promise<void>;
};

export function createVerdictsInTime({ cluster, clock, log, signal, owned, judge }: Parts): VerdictsInTime {
  const due = new Map<Tracked, number>();

  const look = async (tracked: Tracked): Promise<void> => {
    due.delete(tracked);
    const known = owned(tracked);
    if (known === undefined) return;
    try {
      const object = await cluster.get(addressOfKey(tracked.key, known), signal);
      if (object !== undefined) judge(object);
    } catch (error) {
      if (signal.aborted) return;
      log.info({ object: tracked.key, because: reasonOf(error) }, "could not be judged again; it is tried once more");
      if (!due.has(tracked)) due.set(tracked, clock.now() + againMs);
    }
  };
  const looks = oneByOne(
    () => {
      const first = earliest(due);
      // A wall clock may be set back or forward meanwhile: an hour is late enough to notice.
      return first && { waitMs: Math.min(due.get(first)! - clock.now(), longestSleepMs), look: () => look(first) };
    },
    { clock, spacingMs, signal },
  );

  return {
    note(tracked, atMs) {
      if (atMs === undefined) return void due.delete(tracked);
      if (due.get(tracked) === atMs) return;
      due.set(tracked, atMs);
      looks.wake();
    },
    idle: () => looks.idle(),
    ended: () => looks.ended(),
  };
}

function earliest(due: ReadonlyMap<Tracked, number>): Tracked | undefined {
  let first: Tracked | undefined;
  for (const [tracked, at] of due) if (first === undefined || at < due.get(first)!) first = tracked;
  return first;
}
