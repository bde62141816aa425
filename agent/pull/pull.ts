import { fetchBlob } from "#agent/pull/blob.ts";
import { Link, sequenceOf, type LinkOptions } from "#agent/pull/link.ts";
import { missing, PullUnavailable, read } from "#agent/pull/read.ts";
import { Wake } from "#agent/pull/wake.ts";
import type { BlobAddress } from "#proto/ids.ts";
import { subjects } from "#proto/subjects.ts";

/** What stood in the cluster's place on the broker: unverified. */
export type PulledDocument = {
  readonly bytes: Uint8Array;
  /** W3C trace context that it was published with; not signed. */
  readonly traceparent: string | undefined;
};

/** The agent's side of NATS: it reads two kinds of messages and hears one. */
export type Pull = AsyncDisposable & {
  /**
   * The cluster's document now, and whenever its bytes differ. Read at the start, on a notification, on every new
   * connection, on `poke`, and every 1 to 5 minutes. For one reader; ends when `signal` aborts.
   */
  documents(signal: AbortSignal): AsyncIterable<PulledDocument>;
  /** The slices in order, unverified. Throws BlobMissing, PullUnavailable, or the signal's reason. */
  blob(address: BlobAddress, slices: number, signal: AbortSignal): Promise<Uint8Array[]>;
  /** Look again, and connect again if need be: somebody says that there is something newer, or that the hub is back. */
  poke(): void;
};

export type PullOptions = LinkOptions & {
  readonly signal?: AbortSignal | undefined;
  /** Told of each connection that failed or ended; the next one follows by itself. */
  readonly failed?: ((error: unknown) => void) | undefined;
};

const timerMs = { least: 60_000, most: 300_000 };
/** After a read that failed on a connection that looks well. */
const againMs = { least: 5_000, most: 15_000 };
const behindTries = 5;
const behindMs = 100;

export function openPull(options: PullOptions): Pull {
  const { cluster, clock } = options;
  const stop = new AbortController();
  const over = options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal]);
  const wake = new Wake();
  let notified = 0;
  const link = new Link(options, {
    connected: () => {
      // Another broker may count from the start again.
      notified = 0;
      wake.call();
    },
    notified: (sequence) => {
      notified = Math.max(notified, sequence);
      wake.call();
    },
    failed: (error) => options.failed?.(error),
  });
  const running = link.run(over);

  /** A notification can overtake the document on its way to the replica that answers. */
  const readDocument = async (signal: AbortSignal): Promise<PulledDocument | undefined> => {
    for (let attempt = 1; ; attempt++) {
      // A cluster that was just declared has none: its first document is not to wait for the next try.
      const pause = async (ms: number): Promise<void> => {
        await wakeOr(ms, signal);
        wake.clear();
      };
      const answer = await read(link, clock, subjects.getDesired(cluster), signal, pause);
      if (answer === missing) return undefined;
      const isBehind = sequenceOf(answer) < notified;
      if (!isBehind || attempt === behindTries)
        return { bytes: Buffer.from(answer.data), traceparent: answer.headers?.get("traceparent") || undefined };
      await clock.sleep(behindMs * attempt, { signal });
    }
  };

  async function* documents(signal: AbortSignal): AsyncGenerator<PulledDocument, void, undefined> {
    const either = AbortSignal.any([signal, over]);
    let last: Uint8Array | undefined;
    while (!either.aborted) {
      let range = timerMs;
      try {
        await link.connection(either);
        wake.clear();
        const document = await readDocument(either);
        if (document !== undefined && (last === undefined || Buffer.compare(last, document.bytes) !== 0)) {
          last = document.bytes;
          yield document;
        }
      } catch (error) {
        if (either.aborted) return;
        if (!(error instanceof PullUnavailable)) throw error;
        options.failed?.(error);
        range = againMs;
      }
      await wakeOr(range.least + Math.random() * (range.most - range.least), either);
    }
  }

  /** A wake that is missed, for whatever reason, costs minutes and not for ever. */
  const wakeOr = async (waitMs: number, signal: AbortSignal): Promise<void> => {
    const done = new AbortController();
    const both = AbortSignal.any([signal, done.signal]);
    const waits = [wake.wait(both), clock.sleep(waitMs, { signal: both })];
    await Promise.race(waits).catch(() => undefined);
    done.abort();
    await Promise.allSettled(waits);
  };

  return {
    documents,
    blob: (address, slices, signal) => fetchBlob(link, clock, { address, slices }, AbortSignal.any([signal, over])),
    poke: () => {
      wake.call();
      link.hurry();
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new PullUnavailable("the pull was closed"));
      await running;
    },
  };
}
