import type { Cluster } from "#agent/cluster/cluster.ts";
import { refKey, refOf } from "#proto/object.ts";

/** Holds an agent's writes to some objects back, so that the API server can be asked first, and counts them. */
export type Gate = {
  close(keys: Iterable<string>): void;
  open(): void;
  /** Since it was closed last. */
  writes(key: string): number;
  wrap(cluster: Cluster): Cluster;
};

export function createGate(): Gate {
  let held = new Set<string>();
  let opened = Promise.resolve();
  let letGo = (): void => undefined;
  const counts = new Map<string, number>();
  const pass = async (object: Parameters<typeof refOf>[0]): Promise<void> => {
    const key = refKey(refOf(object));
    while (held.has(key)) await opened;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  };
  return {
    close(keys) {
      held = new Set(keys);
      for (const key of held) counts.delete(key);
      opened = new Promise((resolve) => (letGo = resolve));
    },
    open() {
      held = new Set();
      letGo();
    },
    writes: (key) => counts.get(key) ?? 0,
    wrap: (cluster) => ({
      ...cluster,
      async apply(object, options) {
        if (options?.dryRun !== true) await pass(object);
        return cluster.apply(object, options);
      },
      async replace(object, signal) {
        await pass(object);
        return cluster.replace(object, signal);
      },
      async create(object, signal) {
        await pass(object);
        return cluster.create(object, signal);
      },
    }),
  };
}
