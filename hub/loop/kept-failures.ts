import { nameOf, type Seen, type Shape } from "#hub/loop/kept-renderings.ts";
import { remember } from "#lib/remember.ts";
import { backoffMs, type Backoff } from "#lib/retry.ts";

/** Reasons kept: each is a sentence or two. The oldest is found out again. */
const keptReasons = 5_000;
/** What a rendering looked at before it failed differs from failure to failure. */
const keptShapes = 8;

/** What ran into a limit is tried again after this wait, and ever later: it may cost a minute of a processor each time. */
const retries: Backoff = { firstMs: 30_000, capMs: 3_600_000 };

/** `fault`: of the files, for as long as they are the same. `overrun`: of a limit, which a machine with less to do may keep. */
export type FailureKind = "fault" | "overrun";

export type KeptFailure = {
  readonly because: string;
  /** When it is worth another try, by the clock of `keepFailures`. */
  readonly againAtMs?: number;
};

/**
 * Why folders could not be rendered, by what was looked at until then: the same files under the same settings fail in the
 * same way, whatever else a commit changes. Not for what the machine could not do at all.
 */
export type KeptFailures = {
  shapes(settings: string): readonly Shape[];
  /** Undefined also when it is time for another try. */
  find(settings: string, seen: Seen): KeptFailure | undefined;
  keep(settings: string, shape: Shape, seen: Seen, because: string, kind: FailureKind): KeptFailure;
};

type Reason = KeptFailure & { readonly overruns: number };

export function keepFailures(nowMs: () => number): KeptFailures {
  const known = new Map<string, readonly Shape[]>();
  const reasons = new Map<string, Reason>();
  const shapes = (settings: string): readonly Shape[] => known.get(settings) ?? [];
  return {
    shapes,
    find(settings, seen) {
      for (const shape of shapes(settings)) {
        const name = nameOf(settings, shape, seen);
        const reason = name === undefined ? undefined : reasons.get(name);
        if (reason !== undefined) return (reason.againAtMs ?? Infinity) > nowMs() ? reason : undefined;
      }
      return undefined;
    },
    keep(settings, shape, seen, because, kind) {
      const name = nameOf(settings, shape, seen);
      const overruns = kind === "fault" ? 0 : ((name && reasons.get(name)?.overruns) || 0) + 1;
      const again = kind === "fault" ? {} : { againAtMs: nowMs() + backoffMs(retries, overruns) };
      const reason = { because, overruns, ...again };
      if (name === undefined) return reason;
      remember(reasons, name, reason, keptReasons);
      const text = JSON.stringify(shape);
      const others = shapes(settings).filter((other) => JSON.stringify(other) !== text);
      remember(known, settings, [shape, ...others].slice(0, keptShapes), keptReasons);
      return reason;
    },
  };
}
