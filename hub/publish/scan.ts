import { createInbox, type Msg, type NatsConnection } from "@nats-io/transport-node";
import { ask, BrokerUnavailable, errorCode, isRefusal } from "#hub/publish/jetstream.ts";
import type { Clock } from "#lib/clock.ts";

const batchSize = 1_000;
const batchBytes = 8 * 1024 ** 2;
const quietMs = 2_000;
const tries = 20;

export type Stored = {
  readonly subject: string;
  readonly sequence: number;
  readonly atMs: number;
  readonly bytes: Uint8Array;
};

/**
 * Every message that the stream holds, oldest first, at least up to what its leader held when this began: a read may be
 * answered by a replica that is behind. Needs no consumer. Throws BrokerUnavailable.
 */
export async function* scan(
  nats: NatsConnection,
  clock: Pick<Clock, "sleep">,
  stream: string,
  filter = ">",
): AsyncGenerator<Stored, void, undefined> {
  const end = await lastSequence(nats, stream, filter);
  let reached = 0;
  for (let attempt = 1; reached < end; attempt++) {
    const { messages, pending } = await readBatch(nats, stream, reached + 1, batchSize);
    yield* messages;
    const before = reached;
    reached = messages.at(-1)?.sequence ?? reached;
    if (pending > 0 && reached > before) attempt = 0;
    else if (reached < end && attempt === tries) throw new BrokerUnavailable(`broker: ${stream} is behind its leader`);
    else if (reached < end) await clock.sleep(100);
  }
}

/** At most `limit` messages from sequence `from` on, and how many the stream has after them. */
export async function readBatch(
  nats: NatsConnection,
  stream: string,
  from: number,
  limit: number,
): Promise<{ messages: Stored[]; pending: number }> {
  const inbox = createInbox();
  const messages: Stored[] = [];
  let timer: NodeJS.Timeout | undefined;
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const wait = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => reject(new BrokerUnavailable(`broker stopped answering a read of ${stream}`)), quietMs);
  };
  const subscription = nats.subscribe(inbox, {
    callback: (error, message) => {
      wait();
      if (error !== null) reject(error);
      else if (message.headers?.code === 0) messages.push(storedOf(message));
      // 204 ends a batch, 404 says that there is none, anything else is no answer.
      else if (message.headers?.code === 204) resolve(Number(message.headers.get("Nats-Num-Pending")));
      else if (message.headers?.code === 404) resolve(0);
      else reject(new BrokerUnavailable(`broker cannot read ${stream}: ${message.headers?.description}`));
    },
  });
  try {
    wait();
    const body = { seq: from, batch: Math.min(limit, batchSize), max_bytes: batchBytes };
    nats.publish(`$JS.API.DIRECT.GET.${stream}`, JSON.stringify(body), { reply: inbox });
    const pending = await promise;
    return { messages, pending };
  } finally {
    clearTimeout(timer);
    subscription.unsubscribe();
  }
}

async function lastSequence(nats: NatsConnection, stream: string, filter: string): Promise<number> {
  return (await readLast(nats, stream, filter))?.sequence ?? 0;
}

/** The newest message of a subject, from the stream's leader: what decisions are made on. */
export async function readLast(
  nats: NatsConnection,
  stream: string,
  subject: string,
): Promise<{ readonly sequence: number; readonly bytes: Buffer } | undefined> {
  try {
    const { message } = await ask<{ message: { seq: number; data?: string } }>(nats, `STREAM.MSG.GET.${stream}`, {
      last_by_subj: subject,
    });
    return { sequence: message.seq, bytes: Buffer.from(message.data ?? "", "base64") };
  } catch (error) {
    if (isRefusal(error, errorCode.messageNotFound)) return undefined;
    throw error;
  }
}

function storedOf({ headers, data }: Msg): Stored {
  return {
    subject: headers?.get("Nats-Subject") ?? "",
    sequence: Number(headers?.get("Nats-Sequence")),
    atMs: Date.parse(headers?.get("Nats-Time-Stamp") ?? ""),
    bytes: data,
  };
}
