import type { Cluster } from "#agent/cluster/cluster.ts";
import { deleteSecret } from "./secrets.ts";

/** Deletes content-addressed Secrets that nothing points to, while others save some and have not pointed to them yet. */
export type Collector = {
  /** About to be pointed to: stays until the collection after the next. Resolves once no deletion of it is under way. */
  spare(name: string): Promise<void>;
  begin(): void;
  /** Deletes what is not `isKept`, and takes it out of `known`. Gives how many. */
  sweep<Known extends { readonly uid: string }>(
    known: Map<string, Known>,
    isKept: (name: string, one: Known) => boolean,
    signal?: AbortSignal,
  ): Promise<number>;
};

export function createCollector(cluster: Cluster, namespace: string): Collector {
  let spared = new Set<string>();
  let sparedBefore = new Set<string>();
  let deleting: { readonly name: string; readonly ended: Promise<void> } | undefined;

  return {
    async spare(name) {
      spared.add(name);
      if (deleting?.name === name) await deleting.ended.catch(() => undefined);
    },
    begin() {
      sparedBefore = spared;
      spared = new Set();
    },
    async sweep(known, isKept, signal) {
      let swept = 0;
      for (const [name, one] of known) {
        // Asked only now: the deletions before it took their time.
        if (spared.has(name) || sparedBefore.has(name) || isKept(name, one)) continue;
        // Also when its deletion fails: nobody knows then whether it is still there, and it is made anew when it is needed.
        known.delete(name);
        const ended = deleteSecret(cluster, namespace, name, one.uid, signal);
        deleting = { name, ended };
        await ended;
        swept += 1;
      }
      return swept;
    },
  };
}
