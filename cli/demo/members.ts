import type { Cluster } from "#agent/cluster/cluster.ts";
import { createSimulatedCluster } from "#agent/cluster/simulated/simulated.ts";
import type { KubeObject, ObjectRef } from "#proto/object.ts";

/** One cluster of the demo, for its agent and for a hand that breaks it. */
export type Member = AsyncDisposable & {
  readonly name: string;
  /** For the agent. */
  readonly cluster: Cluster;
  /** Where the agent keeps its Secrets; undefined: where it does by default. */
  readonly agentNamespace?: string;
  readonly labels: Readonly<Record<string, string>>;
  get(ref: ObjectRef & { apiVersion: string }): Promise<KubeObject | undefined>;
  /** Changes an object under a tool's name, past Git. */
  meddle(ref: ObjectRef & { apiVersion: string }, manager: string, change: (object: KubeObject) => void): Promise<void>;
};

/** A cluster in memory: server-side apply, watches and controllers that make workloads ready. */
export function simulatedMember(name: string, labels: Readonly<Record<string, string>>): Member {
  const simulated = createSimulatedCluster({ controllers: true });
  return {
    name,
    labels,
    cluster: simulated.connect(),
    get: (ref) => Promise.resolve(simulated.get(ref)),
    meddle(ref, manager, change) {
      simulated.edit(ref, change, { manager });
      return Promise.resolve();
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
