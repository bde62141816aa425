import type { ClusterReader } from "#agent/cluster/cluster.ts";
import type { Trail } from "#agent/health/trail.ts";
import type { Clock } from "#lib/clock.ts";
import { reasonOf, type Log } from "#lib/log.ts";
import { findCause } from "./find-cause.ts";
import type { Tracked } from "./model.ts";
import { oneByOne } from "./one-by-one.ts";

/** A normal rollout is over by then, and cost nothing. */
const settleMs = 10_000;
/** Between two looks at one object: after each, while its own status says nothing new. Then nobody looks any more. */
const waitsMs = [30_000, 60_000, 120_000, 240_000];
const leastMs = waitsMs[0]!;
/** Between two looks at any objects: whatever breaks at once, this many requests a second are the most (three a look). */
const spacingMs = 500;

type Parts = {
  readonly cluster: ClusterReader;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Still one of ours. */
  readonly isTracked: (tracked: Tracked) => boolean;
  /** Another cause than before was found. */
  readonly found: (tracked: Tracked) => void;
};

/** Why objects are not well, looked up in Pods and events. Nothing is asked about what is well. */
export type Causes = {
  /** The verdict on an object is new, or its status says something new; undefined: there is nothing to look up. */
  note(tracked: Tracked, trail: Trail | undefined): void;
  /** Resolves when no look is under way. */
  idle(): Promise<void>;
  ended(): Promise<void>;
};

type Inquiry = { readonly tracked: Tracked; readonly trail: Trail; looks: number; dueAt: number };

export function createCauses({ cluster, clock, log, signal, isTracked, found }: Parts): Causes {
  const open = new Map<string, Inquiry>();
  let isRefused = false;

  const look = async (inquiry: Inquiry): Promise<void> => {
    const { tracked, trail } = inquiry;
    if (!isTracked(tracked)) return void open.delete(tracked.key);
    tracked.lookedUpAt = clock.monotonic();
    try {
      const cause = await findCause({ cluster, signal, nowMs: clock.now() }, trail);
      if (open.get(tracked.key)?.trail.uid === trail.uid && cause !== tracked.cause) {
        tracked.cause = cause;
        found(tracked);
      }
    } catch (error) {
      if (signal.aborted) return;
      // Said once: an agent that may not read Pods or events is no news each time.
      if (!isRefused) log.info({ object: tracked.key, because: reasonOf(error) }, "reasons cannot be looked up here");
      isRefused = true;
    }
    const wait = waitsMs[inquiry.looks];
    inquiry.looks += 1;
    if (wait === undefined) inquiry.dueAt = Number.POSITIVE_INFINITY;
    else inquiry.dueAt = clock.monotonic() + wait;
  };

  const looks = oneByOne(
    () => {
      const first = earliest(open.values());
      return first && { waitMs: first.dueAt - clock.monotonic(), look: () => look(first) };
    },
    { clock, spacingMs, signal },
  );

  return {
    note(tracked, trail) {
      const known = open.get(tracked.key);
      if (trail === undefined) {
        tracked.cause = "";
        if (known !== undefined) open.delete(tracked.key);
        return;
      }
      const now = clock.monotonic();
      const dueAt = Math.max(now + settleMs, tracked.lookedUpAt + leastMs);
      // What is put off at each of its events would never be looked at.
      open.set(tracked.key, { tracked, trail, looks: 0, dueAt: Math.min(dueAt, known?.dueAt ?? dueAt) });
      looks.wake();
    },
    idle: () => looks.idle(),
    ended: () => looks.ended(),
  };
}

function earliest(inquiries: Iterable<Inquiry>): Inquiry | undefined {
  let first: Inquiry | undefined;
  for (const inquiry of inquiries) if (inquiry.dueAt < (first?.dueAt ?? Number.POSITIVE_INFINITY)) first = inquiry;
  return first;
}
