import { createInbox, type Msg } from "@nats-io/transport-node";
import type { HubConnection } from "#hub/publish/held-connection.ts";
import { ask, BrokerUnavailable, errorCode, isRefusal, persist } from "#hub/publish/jetstream.ts";
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
  nats: HubConnection,
  clock: Pick<Clock, "sleep">,
  stream: string,
  filter = ">",
): AsyncGenerator<Stored, void, undefined> {
  const end = (await persist(clock, () => readLast(nats, stream, filter)))?.sequence ?? 0;
  let reached = 0;
  for (let attempt = 1; reached < end; attempt++) {
    const from = reached + 1;
    const { messages, pending } = await persist(clock, () => readBatch(nats, stream, from, batchSize));
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
  nats: HubConnection,
  stream: string,
  from: number,
  limit: number,
): Promise<{ messages: Stored[]; pending: number }> {
  await nats.ready(quietMs).catch((cause: unknown) => {
    throw new BrokerUnavailable(`broker is away, so ${stream} was not read`, { cause });
  });
  const inbox = createInbox();
  const messages: Stored[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const silence = new BrokerUnavailable(`broker does not answer a read of ${stream}`);
  const timer = setTimeout(() => reject(silence), quietMs);
  const subscription = nats.subscribe(inbox, {
    callback: (error, message) => {
      timer.refresh();
      if (error !== null) reject(error);
      else if (message.headers?.code === 0) messages.push(storedOf(message));
      // 204 ends a batch, 404 says that there is none, anything else is no answer.
      else if (message.headers?.code === 204) resolve(Number(message.headers.get("Nats-Num-Pending")));
      else if (message.headers?.code === 404) resolve(0);
      else reject(new BrokerUnavailable(`broker cannot read ${stream}: ${message.headers?.description}`));
    },
  });
  try {
    const body = { seq: from, batch: Math.min(limit, batchSize), max_bytes: batchBytes };
    nats.publish(`$JS.API.DIRECT.GET.${stream}`, JSON.stringify(body), { reply: inbox });
    const pending = await promise;
    return { messages, pending };
  } finally {
    clearTimeout(timer);
    subscription.unsubscribe();
  }
}

/** The newest message of a subject, from the stream's leader: what decisions are made on. None in a stream that is gone. */
export async function readLast(
  nats: HubConnection,
  stream: string,
  subject: string,
): Promise<{ readonly sequence: number; readonly bytes: Buffer } | undefined> {
  try {
    const { message } = await ask<{ message: { seq: number; data?: string } }>(nats, `STREAM.MSG.GET.${stream}`, {
      last_by_subj: subject,
    });
    return { sequence: message.seq, bytes: Buffer.from(message.data ?? "", "base64") };
  } catch (error) {
    if (isRefusal(error, errorCode.messageNotFound) || isRefusal(error, errorCode.streamNotFound)) return undefined;
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
