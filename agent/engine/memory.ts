import { reasonOf } from "#lib/log.ts";
import { compareOrder } from "#proto/desired-state.ts";
import { verifyDesiredState } from "#proto/envelope.ts";
import type { BlobAddress } from "#proto/ids.ts";
import { parseRefKey } from "#proto/object.ts";
import { lookAtYielded } from "./after-apply.ts";
import { tellLoss, type Context } from "./context.ts";
import { openStored, type Trust } from "./documents.ts";
import { madeBefore } from "./hook-record.ts";
import { applicationOf, track } from "./model.ts";

const collectEveryMs = 3_600_000;

/** What the agent knows, in Secrets of its own namespace: read at its start, kept up to date, made anew after a loss. */
export type Memory = {
  /** Reads everything; resolves once the cluster was compared with it. `documentTaken`: called before anything is judged. */
  restore(documentTaken: () => void): Promise<void>;
  /** Saves the newest document, unless a head took it along. */
  saveDocument(): Promise<void>;
  /** Everything that is remembered, into whatever Secrets there are now. */
  rewrite(): void;
  /** Drops, once in a while, bundles that nothing runs any more. */
  collect(): Promise<void>;
  /** Whether nothing of this is being written; what is remembered with an apply is that one's. */
  readonly isIdle: boolean;
  /** Resolves when all that is being written now has been, or failed. */
  idle(): Promise<void>;
};

export function createMemory(context: Context, trust: Trust): Memory {
  const { model, store, clock, log, signal } = context;
  const writing = new Set<Promise<void>>();
  let rewriting: Promise<void> | undefined;

  const whileWriting = (work: Promise<void>): Promise<void> => {
    const done = work.finally(() => writing.delete(done));
    writing.add(done);
    return done;
  };
  const rewrite = async (): Promise<void> => {
    try {
      await store.recheck(signal);
      model.unsaved ??= model.document?.bytes;
      for (const application of model.applications.values()) {
        const { head, bundle } = application;
        if (head === undefined) continue;
        if (bundle !== undefined && head.run?.address === bundle.run.address)
          await store.saveSlices(bundle.run.address, bundle.slices, signal);
        context.remember(application);
      }
      tellLoss(context, "", "the API server went back in time; what the agent knows is written anew");
    } catch (error) {
      if (!signal.aborted) log.warn({ because: reasonOf(error) }, "memory not written anew; the next change does it");
    }
  };
  const saveDocument = async (): Promise<void> => {
    const { unsaved } = model;
    if (unsaved === undefined || signal.aborted) return;
    try {
      await store.saveEnvelope(unsaved, signal);
      if (model.unsaved === unsaved) model.unsaved = undefined;
    } catch (error) {
      if (!signal.aborted) log.warn({ because: reasonOf(error) }, "document not saved; the next change saves it");
    }
  };
  return {
    async restore(documentTaken) {
      const loaded = await store.load(signal);
      for (const problem of loaded.problems) tellLoss(context, "", problem);
      tellLost(context, loaded);
      const areUsable = takeStored(context, trust, loaded.envelopes);
      neverGoBack(context, loaded);
      // Whatever takes the place of what cannot be read takes away the document that was in it.
      if (loaded.lost.length > 0) model.unsaved = model.document?.bytes;
      documentTaken();
      await takeHeads(context, trust, loaded);
      // Before anything is judged: a scale by an autoscaler is no drift.
      if ([...model.applications.values()].some(({ bundle }) => bundle?.scales === true))
        await context.autoscalers.start();
      await watchAll(context, loaded.heads);
      for (const application of model.applications.values()) {
        lookAtYielded(context, application);
        context.touched(application);
        if (!areUsable && application.head !== undefined) context.remember(application);
      }
    },
    saveDocument: () => whileWriting(saveDocument()),
    rewrite: () => void (rewriting ??= whileWriting(rewrite()).finally(() => (rewriting = undefined))),
    async collect() {
      while (!signal.aborted) {
        await clock.sleep(collectEveryMs, { signal });
        const isInUse = (address: BlobAddress): boolean =>
          [...model.applications.values()].some(({ head }) => head?.run?.address === address);
        await store.collect(isInUse, signal).catch(() => undefined);
      }
    },
    get isIdle() {
      return writing.size === 0;
    },
    idle: async () => void (await Promise.all(writing)),
  };
}

type Loaded = Awaited<ReturnType<Context["store"]["load"]>>;

/** What is known of hooks lies beside the head: where that is, and no head, somebody took the head away. */
function tellLost(context: Context, { heads, lost, hooks }: Loaded): void {
  const known = new Set(heads.map(({ application }) => application));
  for (const [name, kept] of hooks) if (!known.has(name)) applicationOf(context.model, name).recovered = kept.hooks;
  for (const name of new Set([...lost, ...hooks.keys()])) {
    if (known.has(name)) continue;
    applicationOf(context.model, name).memory = "lost";
    const what = lost.includes(name) ? "cannot be read" : "is gone";
    const text = `the inventory of ${name} ${what}: it is made anew, and nothing is pruned meanwhile`;
    tellLoss(context, name, text);
  }
}

/** The newest stored document that verifies is in force. False when one was of no use, and is dropped. */
function takeStored(context: Context, { rootKey }: Trust, envelopes: readonly Uint8Array[]): boolean {
  const { model, store, clusterId } = context;
  let areUsable = true;
  for (const bytes of envelopes) {
    const taken = verifyDesiredState(bytes, { rootKey, cluster: clusterId, now: 0, isStored: true });
    if (!taken.ok) {
      tellLoss(context, "", `a stored document cannot be used: ${taken.reason}`);
      store.dropEnvelope(bytes);
      areUsable = false;
    } else if (model.document === undefined || compareOrder(taken.highWater, model.document.highWater) > 0)
      model.document = { bytes, state: taken.state, highWater: taken.highWater };
  }
  return areUsable;
}

/**
 * What is stored may be older than what was taken, if the Secret that held the newest document was lost. Then nothing is
 * gone back to: what runs is kept as it is until the hub shows that document again, or a newer one.
 */
function neverGoBack(context: Context, { heads, hooks }: Loaded): void {
  const { model } = context;
  for (const { highWater } of [...heads, ...hooks.values()]) {
    const newest = model.document?.highWater ?? model.lost;
    if (highWater === undefined || (newest !== undefined && compareOrder(highWater, newest) <= 0)) continue;
    model.document = undefined;
    model.lost = highWater;
  }
  if (model.lost === undefined) return;
  const text = `the document of generation ${model.lost.generation} is gone: all is kept as it is until the hub shows it again`;
  tellLoss(context, "", text);
}

async function takeHeads(context: Context, trust: Trust, { heads, slices }: Loaded): Promise<void> {
  const { model } = context;
  for (const head of heads) {
    const application = applicationOf(model, head.application);
    application.head = head;
    application.memory = "kept";
    application.phase = head.complete ? "Applied" : "Held";
    for (const key of head.inventory.keys()) track(model, key, head.application);
    const problem = await openStored(context, trust, application, slices);
    if (problem !== undefined) tellLoss(context, head.application, `${problem}; it is fetched again`);
    application.head = { ...head, made: madeBefore(application) };
  }
}

async function watchAll(context: Context, heads: Loaded["heads"]): Promise<void> {
  const kinds = new Map<string, { apiVersion: string; kind: string }>();
  for (const head of heads)
    for (const [key, { apiVersion }] of head.inventory) {
      const { kind } = parseRefKey(key);
      kinds.set(`${apiVersion} ${kind}`, { apiVersion, kind });
    }
  await Promise.all([...kinds.values()].map(({ apiVersion, kind }) => context.watch(apiVersion, kind, true)));
}
