import { reasonOf } from "#lib/log.ts";
import type { Context } from "./context.ts";
import { fetchBundles, fetchRetryMs, type FetchBlob, type Trust } from "./documents.ts";
import type { Memory } from "./memory.ts";
import type { Reconcilers } from "./reconcilers.ts";

/** Fetches what the newest document runs and is not here, again and again while it is not; then reconciles. */
export type Fetching = {
  /** There is a newer document: the round for the one before ends. */
  begin(): void;
  /** Resolves when the newest round has ended. */
  ended(): Promise<void>;
};

export function createFetching(
  context: Context,
  trust: Trust,
  fetch: FetchBlob,
  { reconcilers, memory }: { readonly reconcilers: Reconcilers; readonly memory: Memory },
): Fetching {
  const { model, clock, log, signal } = context;
  let newest = 0;
  let running: Promise<void> = Promise.resolve();

  const round = async (own: number): Promise<void> => {
    const isNewest = (): boolean => own === newest && !signal.aborted;
    for (let attempt = 1; isNewest(); attempt += 1) {
      const missing = await fetchBundles(context, trust, fetch);
      const named = attempt === 1 ? model.document!.state.entries.map(({ application }) => application) : [];
      for (const name of new Set([...named, ...model.applications.keys()])) reconcilers.add(name);
      void reconcilers.idle().then(() => memory.saveDocument());
      if (missing.length === 0) return;
      await clock.sleep(fetchRetryMs(attempt), { signal });
    }
  };
  return {
    begin() {
      newest += 1;
      running = round(newest).catch((error: unknown) => {
        if (!signal.aborted) log.error({ because: reasonOf(error) }, "fetching bundles stopped");
      });
    },
    ended: () => running,
  };
}
