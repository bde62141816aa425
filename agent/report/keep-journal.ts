import type { Cluster } from "#agent/cluster/cluster.ts";
import { dataOf, getSecret, replaceOrCreate, secretOf } from "#agent/state/secrets.ts";
import type { Clock } from "#lib/clock.ts";
import { reasonOf, type Log } from "#lib/log.ts";
import type { Event } from "#proto/gen/plumbline/agent/v1/agent.ts";
import type { Journal } from "./journal.ts";
import { packJournal, unpackJournal, UnreadableJournal } from "./packed-journal.ts";

/** A cluster that drifts all day without its hub costs its API server no more than this. */
const atMostEveryMs = 10_000;
/** An agent that is told to stop has seconds; what its last words need is one request. */
const lastWriteMs = 3_000;
const name = "plumbline-journal";

/** The journal's Secret in the agent's namespace: read once at the start. */
export type KeptJournal = {
  /** What an earlier agent could not tell the hub, oldest first. */
  readonly events: readonly Event[];
  /** Until it is disposed, writes the journal down while the hub is away, and then once more; empties it when all is told. */
  keep(journal: Journal, isConnected: () => boolean): AsyncDisposable;
};

type Parts = { readonly cluster: Cluster; readonly namespace: string; readonly clock: Clock; readonly log: Log };

/** Throws what the API server answers; a Secret that is no journal is told to the log and written over. */
export async function readKeptJournal(parts: Parts, signal: AbortSignal): Promise<KeptJournal> {
  const { cluster, namespace, clock, log } = parts;
  const secret = await getSecret(cluster, namespace, name, signal);
  const events = secret === undefined ? [] : eventsOf(dataOf(secret)["journal"] ?? "", log, clock.now());
  let resourceVersion = secret?.metadata.resourceVersion;
  let isStored = events.length > 0;
  let written = "";

  const write = async (journal: Journal, either: AbortSignal): Promise<void> => {
    const owed = journal.after(0n);
    const data = { journal: owed.length === 0 ? "" : packJournal(owed).toString("base64") };
    const stored = await replaceOrCreate(cluster, secretOf(namespace, name, "journal", data), resourceVersion, either);
    resourceVersion = stored.metadata.resourceVersion;
    isStored = owed.length > 0;
    written = standOf(journal);
  };

  /** What is told need not be kept, and what the hub reads as it happens need not be written. */
  const isDue = (journal: Journal, isLast: boolean, isConnected: boolean): boolean => {
    const { first, last } = journal.range;
    if (first > last) return isStored;
    return standOf(journal) !== written && (isLast || !isConnected);
  };

  return {
    events,
    keep(journal, isConnected) {
      // Restored events stand in the Secret already.
      written = isStored ? standOf(journal) : "";
      const stop = new AbortController();
      const save = async (isLast: boolean): Promise<void> => {
        try {
          if (!isDue(journal, isLast, isConnected())) return;
          await write(journal, isLast ? AbortSignal.timeout(lastWriteMs) : stop.signal);
        } catch (error) {
          if (isLast || !stop.signal.aborted)
            log.warn({ because: reasonOf(error) }, "what the hub has yet to hear could not be written down");
        }
      };
      const keeping = (async () => {
        while (!stop.signal.aborted) {
          await clock.sleep(atMostEveryMs, { signal: stop.signal }).catch(() => undefined);
          if (!stop.signal.aborted) await save(false);
        }
      })();
      return {
        async [Symbol.asyncDispose]() {
          stop.abort();
          await keeping;
          await save(true);
        },
      };
    },
  };
}

/** Another one when something was recorded, acknowledged or dropped. */
const standOf = ({ range: { first, last } }: Journal): string => `${first} ${last}`;

function eventsOf(text: string, log: Log, nowMs: number): Event[] {
  if (text === "") return [];
  try {
    return unpackJournal(Buffer.from(text, "base64"));
  } catch (error) {
    if (!(error instanceof UnreadableJournal)) throw error;
    const text = `Secret ${name} cannot be read: what happened while the hub was away is lost`;
    log.error({ because: error.message }, text);
    const body = { $case: "notice", value: { text } } as const;
    return [{ sequence: 0n, atMs: BigInt(nowMs), application: "", environment: "", traceparent: "", body }];
  }
}
