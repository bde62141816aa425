import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { Event } from "#proto/gen/plumbline/agent/v1/agent.ts";

/** A Secret holds 1 MiB, and base64 makes four bytes of three. */
export const packedBytes = 700 * 1024;
/** What unpacks to more than this was not written by an agent. */
const unpackedBytes = 64 * 1024 * 1024;
const lengthBytes = 4;

export class UnreadableJournal extends Error {
  override readonly name = "UnreadableJournal";
}

/**
 * Events as bytes that one Secret can hold, at most `limit`: as many of the newest as fit, after a `dropped` event that
 * counts the others. The events are in the order of their sequences.
 */
export function packJournal(events: readonly Event[], limit: number = packedBytes): Buffer {
  for (let kept = events.length; ; kept = Math.floor(kept / 2)) {
    const left = events.slice(0, events.length - kept);
    const packed = compress([...noticeOf(left), ...events.slice(left.length)]);
    if (packed.length <= limit || kept === 0) return packed;
  }
}

/** The events of `packJournal`. Throws UnreadableJournal. */
export function unpackJournal(bytes: Uint8Array): Event[] {
  try {
    const plain = zstdDecompressSync(bytes, { maxOutputLength: unpackedBytes });
    const events: Event[] = [];
    for (let at = 0; at < plain.length;) {
      const from = at + lengthBytes;
      at = from + plain.readUInt32BE(at);
      if (at > plain.length) throw new RangeError("it is cut off");
      events.push(Event.decode(plain.subarray(from, at)));
    }
    return events;
  } catch (error) {
    throw new UnreadableJournal(error instanceof Error ? error.message : "no journal", { cause: error });
  }
}

function compress(events: readonly Event[]): Buffer {
  const parts = events.flatMap((event) => {
    const bytes = Event.encode(event).finish();
    const length = Buffer.alloc(lengthBytes);
    length.writeUInt32BE(bytes.length);
    return [length, bytes];
  });
  return zstdCompressSync(Buffer.concat(parts));
}

function noticeOf(left: readonly Event[]): Event[] {
  const [first, last] = [left[0], left.at(-1)];
  if (first === undefined || last === undefined) return [];
  // A notice among them stands for more than itself.
  const events = left.reduce((sum, { body }) => sum + (body?.$case === "dropped" ? body.value.events : 1n), 0n);
  const value = { events, fromSequence: first.sequence, toSequence: last.sequence };
  return [{ ...last, application: "", environment: "", traceparent: "", body: { $case: "dropped", value } }];
}
