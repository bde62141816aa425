import type { Cluster } from "#agent/cluster/cluster.ts";
import type { Engine } from "#agent/engine/engine.ts";
import { Journal } from "#agent/report/journal.ts";
import type { VirtualClock } from "#lib/virtual-clock.ts";
import type { Clock } from "#lib/clock.ts";
import type { Documents } from "#test/harness/documents.ts";
import { startEngineFor } from "#test/harness/engine.ts";

export type RunningAgent = AsyncDisposable & { readonly engine: Engine; readonly journal: Journal };

/** The agent's engine in this process, without a hub. */
export async function startAgent(
  cluster: Cluster,
  documents: Documents,
  clock: Clock | VirtualClock,
  namespace: string,
): Promise<RunningAgent> {
  const journal = new Journal(1_000, () => clock.now());
  const engine = await startEngineFor(documents, { cluster, namespace, journal, clock });
  return {
    engine,
    journal,
    async [Symbol.asyncDispose]() {
      await engine[Symbol.asyncDispose]();
      await cluster[Symbol.asyncDispose]();
    },
  };
}
