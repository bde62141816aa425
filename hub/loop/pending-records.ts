import { keyOf } from "#hub/decide/inputs.ts";
import type { RolloutRecord } from "#hub/decide/record.ts";
import type { Clock } from "#lib/clock.ts";
import type { ApplicationName } from "#proto/ids.ts";

type Noted = { readonly record: RolloutRecord; readonly dueAtMs: number };

/** Records that count already and are not written yet: one for each Environment and Application. */
export type PendingRecords = {
  note(rollouts: readonly RolloutRecord[], withinMs: number): void;
  /** The written records with the noted ones in their places; the same value while neither changed. */
  over<Written extends { readonly rollouts: readonly RolloutRecord[] }>(written: Written): Written;
  /** Those of the Applications; without them, those whose time has come. */
  due(applications?: ReadonlySet<ApplicationName>): RolloutRecord[];
  /** They stand on the branch now. */
  written(rollouts: readonly RolloutRecord[]): void;
};

export function createPending(clock: Pick<Clock, "monotonic">): PendingRecords {
  const noted = new Map<string, Noted>();
  let seen: { readonly written: unknown; readonly over: unknown } | undefined;
  return {
    note(rollouts, withinMs) {
      const dueAtMs = clock.monotonic() + withinMs;
      for (const record of rollouts) {
        // What waits already waits no longer for what is noted on top of it.
        const before = noted.get(keyOf(record))?.dueAtMs ?? dueAtMs;
        noted.set(keyOf(record), { record, dueAtMs: Math.min(before, dueAtMs) });
      }
      if (rollouts.length > 0) seen = undefined;
    },
    over<Written extends { readonly rollouts: readonly RolloutRecord[] }>(written: Written): Written {
      if (noted.size === 0) return written;
      if (seen?.written !== written) {
        const all = new Map(written.rollouts.map((rollout) => [keyOf(rollout), rollout]));
        for (const [key, { record }] of noted) all.set(key, record);
        seen = { written, over: { ...written, rollouts: [...all.values()] } };
      }
      return seen.over as Written;
    },
    due(applications) {
      const nowMs = clock.monotonic();
      return [...noted.values()]
        .filter(({ record, dueAtMs }) => applications?.has(record.application) ?? dueAtMs <= nowMs)
        .map(({ record }) => record);
    },
    written(rollouts) {
      for (const record of rollouts) if (noted.get(keyOf(record))?.record === record) noted.delete(keyOf(record));
      if (rollouts.length > 0) seen = undefined;
    },
  };
}
