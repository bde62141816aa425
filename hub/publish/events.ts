import { randomUUID } from "node:crypto";
import type { HubConnection } from "#hub/publish/held-connection.ts";
import { persist, store } from "#hub/publish/jetstream.ts";
import { readBatch, type Stored } from "#hub/publish/scan.ts";
import { streamId, streamInfo } from "#hub/publish/streams.ts";
import type { Clock } from "#lib/clock.ts";
import { clusterId, type ClusterId } from "#proto/ids.ts";
import { streams, subjects } from "#proto/subjects.ts";

/** `<stream id>:<sequence>`: a place in one history. Opaque to whoever is given one. */
export type Cursor = string;

export type StoredEvent = {
  readonly cursor: Cursor;
  readonly type: string;
  readonly cluster: ClusterId | "hub";
  readonly bytes: Uint8Array;
  /** When the broker stored it, milliseconds since 1970. */
  readonly atMs: number;
};

export type EventPage = { readonly events: readonly StoredEvent[]; readonly hasMore: boolean };

const eventType = /^[A-Za-z][A-Za-z0-9-]{0,62}$/;

/** Appends to history, once, however often it has to be sent. `id` is of the stream that was there at the last ensureStreams. */
export async function appendEvent(
  nats: HubConnection,
  clock: Pick<Clock, "sleep">,
  id: string,
  event: Pick<StoredEvent, "type" | "cluster" | "bytes">,
): Promise<Cursor> {
  if (!eventType.test(event.type)) throw new Error(`event type must be one word: ${JSON.stringify(event.type)}`);
  const messageId = { "Nats-Msg-Id": randomUUID() };
  const subject = subjects.event(event.type, event.cluster);
  return `${id}:${await persist(clock, () => store(nats, subject, event.bytes, messageId))}`;
}

/**
 * At most `limit` events after `from`, or from the oldest kept. `gone`: the cursor is of another history, or what came
 * after it is no longer kept, so the reader must start anew instead of believing that nothing happened.
 */
export async function readEvents(
  nats: HubConnection,
  from: Cursor | undefined,
  limit: number,
): Promise<EventPage | "gone"> {
  const info = await streamInfo(nats, streams.events);
  const id = streamId(info);
  const { first_seq: first, last_seq: last } = info.state;
  const after = from === undefined ? first - 1 : sequenceIn(from, id);
  if (after === undefined || after > last || after + 1 < first) return "gone";
  if (after === last || info.state.messages === 0) return { events: [], hasMore: false };
  const { messages, pending } = await readBatch(nats, streams.events, after + 1, limit);
  return { events: messages.map((stored) => eventOf(stored, id)), hasMore: pending > 0 };
}

function sequenceIn(cursor: Cursor, id: string): number | undefined {
  const [stream, sequence = "", ...rest] = cursor.split(":");
  return stream === id && /^\d{1,15}$/.test(sequence) && rest.length === 0 ? Number(sequence) : undefined;
}

function eventOf({ subject, sequence, bytes, atMs }: Stored, id: string): StoredEvent {
  const [, , type = "", cluster = ""] = subject.split(".");
  return {
    cursor: `${id}:${sequence}`,
    type,
    cluster: cluster === "hub" ? "hub" : clusterId(cluster),
    bytes,
    atMs,
  };
}
