import type { KindInfo } from "#agent/cluster/cluster.ts";
import { WatchExpired, WatchSilent } from "#agent/cluster/errors.ts";
import { backoffMs } from "#lib/retry.ts";
import { reasonOf } from "#lib/log.ts";
import { groupOf, parseRefKey } from "#proto/object.ts";
import { agentLabel } from "./bundles.ts";
import type { Context } from "./context.ts";
import { judgeEvent, judgeHealthAgain, judgeList, type Suspicion } from "./judge.ts";
import { ownedOf, type Tracked } from "./model.ts";

/** With the waits between them a few minutes: what fails longer than that fails for the watches too. */
const againTries = 10;
const retries = { firstMs: 500, capMs: 30_000 };

/** One watch a kind, of everything with this agent's label. */
export type Watches = {
  /** Begins to watch a kind; resolves when its first LIST was judged, or at once when it is watched already. */
  start(apiVersion: string, kind: string): Promise<void>;
  /** Judges the health of all objects of these kinds ("apps/v1 Deployment") by other rules: one LIST a kind, no write. */
  judgeAgain(kinds: ReadonlySet<string>): void;
  /** Resolves when every watch has ended, after the engine's signal. */
  ended(): Promise<void>;
};

export function createWatches(context: Context, suspect: (key: string, suspicion: Suspicion) => void): Watches {
  const running = new Map<string, { first: Promise<void>; ended: Promise<void> }>();
  return {
    async start(apiVersion, kind) {
      const name = `${groupOf(apiVersion)}/${kind}`;
      const known = running.get(name);
      if (known !== undefined) return known.first;
      const info = await context.cluster.kindOf(apiVersion, kind, context.signal);
      // Not served yet: the apply of its objects says so, and asks again.
      if (info === undefined || running.has(name)) return running.get(name)?.first;
      let firstListed = (): void => undefined;
      const first = new Promise<void>((resolve) => (firstListed = resolve));
      const ended = follow(context, info, suspect, firstListed).finally(firstListed);
      running.set(name, { first, ended });
      await first;
    },
    judgeAgain(kinds) {
      for (const name of kinds) {
        const [apiVersion, kind] = name.split(" ") as [string, string];
        const following = running.get(`${groupOf(apiVersion)}/${kind}`);
        if (following !== undefined) void following.first.then(() => judgeKindAgain(context, apiVersion, kind));
      }
    },
    ended: async () => void (await Promise.all([...running.values()].map(({ ended }) => ended))),
  };
}

/** Lists, judges, watches, and begins again when the watch ends; from where it was, whenever the server still knows. */
async function follow(
  context: Context,
  kind: KindInfo,
  suspect: (key: string, suspicion: Suspicion) => void,
  firstListed: () => void,
): Promise<void> {
  const { cluster, signal, clock, log } = context;
  const selection = { labelSelector: `${agentLabel}=${context.clusterId}`, signal };
  let from: string | undefined;
  let failures = 0;
  while (!signal.aborted) {
    try {
      if (from === undefined) {
        const list = await cluster.list(kind, selection);
        judgeList(context, list, trackedOf(context, kind), suspect);
        from = list.resourceVersion;
        firstListed();
      }
      for await (const event of cluster.watch(kind, from, selection)) {
        failures = 0;
        from = event.type === "BOOKMARK" ? event.resourceVersion : (event.object.metadata.resourceVersion ?? from);
        if (event.type !== "BOOKMARK") judgeEvent(context, event, suspect);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof WatchExpired || error instanceof WatchSilent) from = undefined;
      // Whoever waits to apply goes on: what cannot be listed is said, not waited for.
      firstListed();
      log.info({ kind: kind.kind, because: reasonOf(error) }, "watch ended; it is begun again");
    }
    failures += 1;
    // The first end of a healthy watch is everyday: a server restarts, a connection has lived long enough.
    if (failures > 1) await clock.sleep(backoffMs(retries, failures - 1), { signal }).catch(() => undefined);
  }
}

/** What cannot be listed now is judged by the new rule at its next event. */
async function judgeKindAgain(context: Context, apiVersion: string, kind: string): Promise<void> {
  const { cluster, signal, log, clusterId } = context;
  for (let attempt = 1; !signal.aborted; attempt += 1) {
    try {
      const info = await cluster.kindOf(apiVersion, kind, signal);
      if (info === undefined) return;
      const list = await cluster.list(info, { labelSelector: `${agentLabel}=${clusterId}`, signal });
      for (const object of list.items) judgeHealthAgain(context, object);
      return;
    } catch (error) {
      if (signal.aborted) return;
      log.info({ kind, because: reasonOf(error) }, "objects are not judged by a changed rule yet; it is tried again");
      if (attempt === againTries) return;
      await context.clock.sleep(backoffMs(retries, attempt), { signal }).catch(() => undefined);
    }
  }
}

function trackedOf(context: Context, kind: KindInfo): Tracked[] {
  return [...context.model.tracked.values()].filter((tracked) => {
    const ref = parseRefKey(tracked.key);
    return (
      ref.kind === kind.kind && ref.group === kind.group && (ownedOf(context.model, tracked)?.baseline ?? null) !== null
    );
  });
}
