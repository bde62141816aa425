import type { Cluster, ObjectAddress } from "#agent/cluster/cluster.ts";
import type { KubeObject } from "#proto/object.ts";

/** One life of an agent, as its API server sees it: from its death on, no request of it arrives and no answer returns. */
export type Life = {
  readonly cluster: Cluster;
  isDead(): boolean;
  kill(): void;
  /** Dies at the `n`th write from now (1 is the next), before it is sent, or after it was done and before its answer. */
  killAt(n: number, moment: "before" | "after"): void;
};

class Killed extends Error {
  override readonly name = "Killed";
}

/** Is told of what an agent is about to write for its Applications, and of what came of it. */
export type Observer = {
  deleting(address: ObjectAddress): void;
  applying(object: KubeObject): void;
  applied(object: KubeObject, isDone: boolean): void;
};

export function lifeOn(real: Cluster, observer?: Observer): Life {
  let isDead = false;
  let end: { left: number; moment: "before" | "after" } | undefined;
  const alive = (): void => {
    if (isDead) throw new Killed("the agent was killed");
  };
  const read = async <T>(ask: () => Promise<T>): Promise<T> => {
    alive();
    const answer = await ask();
    alive();
    return answer;
  };
  const write = async <T>(ask: () => Promise<T>): Promise<T> => {
    alive();
    if (end !== undefined) end.left -= 1;
    const isLast = end?.left === 0;
    if (isLast && end?.moment === "before") isDead = true;
    alive();
    const answer = await ask();
    if (isLast) isDead = true;
    alive();
    return answer;
  };
  const mortal = (cluster: Cluster): Cluster => ({
    version: (signal) => read(() => cluster.version(signal)),
    kindOf: (apiVersion, kind, signal) => read(() => cluster.kindOf(apiVersion, kind, signal)),
    servedKind: (apiVersion, kind, signal) => read(() => cluster.servedKind(apiVersion, kind, signal)),
    knownKind: (apiVersion, kind, signal) => read(() => cluster.knownKind(apiVersion, kind, signal)),
    as: (user) => mortal(cluster.as(user)),
    get: (address, signal) => read(() => cluster.get(address, signal)),
    list: (kind, selection) => read(() => cluster.list(kind, selection)),
    async *watch(kind, resourceVersion, selection) {
      alive();
      for await (const event of cluster.watch(kind, resourceVersion, selection)) {
        alive();
        yield event;
      }
    },
    apply: (object, options) =>
      options?.dryRun === true
        ? read(() => cluster.apply(object, options))
        : write(async () => {
            observer?.applying(object);
            let isDone = false;
            try {
              const answer = await cluster.apply(object, options);
              isDone = true;
              return answer;
            } finally {
              observer?.applied(object, isDone);
            }
          }),
    create: (object, signal) => write(() => cluster.create(object, signal)),
    replace: (object, signal) => write(() => cluster.replace(object, signal)),
    delete: (address, options) =>
      write(() => {
        observer?.deleting(address);
        return cluster.delete(address, options);
      }),
    [Symbol.asyncDispose]: async () => undefined,
  });
  return {
    cluster: mortal(real),
    isDead: () => isDead,
    kill: () => void (isDead = true),
    killAt: (n, moment) => void (end = { left: n, moment }),
  };
}
