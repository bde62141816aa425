import { backoffMs } from "#lib/retry.ts";
import { reasonOf } from "#lib/log.ts";
import { groupOf } from "#proto/object.ts";
import type { Context } from "./context.ts";
import type { Suspicion } from "./judge.ts";
import { watchKind, type KindWatch } from "./kind-watch.ts";

/** With the waits between them a few minutes: what fails longer than that fails for the watches too. */
const againTries = 10;
const retries = { firstMs: 500, capMs: 30_000 };

/** One watch a kind, of everything with this agent's label. */
export type Watches = {
  /**
   * Begins to watch a kind; resolves when its first LIST was judged, or at once when it is watched already, and when it
   * cannot be now: it is tried again until it can. One that is not served is left to the apply of its objects, which asks
   * again; `isApplied`: there is none to come.
   */
  start(apiVersion: string, kind: string, isApplied?: boolean): Promise<void>;
  /** Judges the health of all objects of these kinds ("apps/v1 Deployment") by other rules: one LIST a kind, no write. */
  judgeAgain(kinds: ReadonlySet<string>): void;
  /** Resolves when every watch has ended, after the engine's signal. */
  ended(): Promise<void>;
};

export function createWatches(context: Context, suspect: (key: string, suspicion: Suspicion) => void): Watches {
  const running = new Map<string, KindWatch>();
  const waiting = new Map<string, Promise<void>>();

  /** False when it is not served. */
  const begin = async (apiVersion: string, kind: string): Promise<boolean> => {
    const name = nameOf(apiVersion, kind);
    if (!running.has(name)) {
      const info = await context.cluster.servedKind(apiVersion, kind, context.signal);
      if (info === undefined) return false;
      if (!running.has(name)) running.set(name, watchKind(context, info, suspect));
    }
    await running.get(name)?.cover();
    return true;
  };
  /** What is known of its objects stays as it is until its server answers, or its definition is there: no apply need ask for it again. */
  const beginLater = async (apiVersion: string, kind: string): Promise<void> => {
    for (let attempt = 1; ; attempt += 1) {
      await context.clock.sleep(backoffMs(retries, attempt), { signal: context.signal });
      try {
        // Or nothing of it is wanted any more.
        if ((await begin(apiVersion, kind)) || !isTracked(context, `${nameOf(apiVersion, kind)}/`)) return;
      } catch {
        context.signal.throwIfAborted();
      }
    }
  };
  return {
    async start(apiVersion, kind, isApplied = false) {
      const name = nameOf(apiVersion, kind);
      let because = "it is not served";
      try {
        if ((await begin(apiVersion, kind)) || !isApplied) return;
      } catch (error) {
        context.signal.throwIfAborted();
        because = reasonOf(error);
      }
      if (waiting.has(name)) return;
      context.log.warn({ kind, because }, "not watched for now");
      const later = beginLater(apiVersion, kind)
        .catch(() => undefined)
        .finally(() => waiting.delete(name));
      waiting.set(name, later);
    },
    judgeAgain(kinds) {
      for (const name of kinds) {
        const [apiVersion, kind] = name.split(" ") as [string, string];
        const following = running.get(nameOf(apiVersion, kind));
        if (following !== undefined) void following.cover().then(() => judgeKindAgain(context, kind, following));
      }
    },
    async ended() {
      await Promise.all(waiting.values());
      await Promise.all([...running.values()].map((one) => one.ended()));
    },
  };
}

const nameOf = (apiVersion: string, kind: string): string => `${groupOf(apiVersion)}/${kind}`;

const isTracked = ({ model }: Context, start: string): boolean =>
  model.tracked.keys().some((key) => key.startsWith(start));

/** What cannot be listed now is judged by the new rule at its next event. */
async function judgeKindAgain(context: Context, kind: string, following: KindWatch): Promise<void> {
  const { signal, log } = context;
  for (let attempt = 1; !signal.aborted; attempt += 1) {
    try {
      return await following.judgeHealth(signal);
    } catch (error) {
      if (signal.aborted) return;
      log.info({ kind, because: reasonOf(error) }, "objects are not judged by a changed rule yet; it is tried again");
      if (attempt === againTries) return;
      await context.clock.sleep(backoffMs(retries, attempt), { signal }).catch(() => undefined);
    }
  }
}
