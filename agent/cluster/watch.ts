import type { WatchEvent } from "#agent/cluster/cluster.ts";
import { ApiError, WatchExpired, WatchSilent } from "#agent/cluster/errors.ts";
import { systemClock, type Clock } from "#lib/clock.ts";
import { parseJson } from "#proto/json.ts";
import type { KubeObject } from "#proto/object.ts";

/** Bookmarks come every 60 s; two missed and half a one spare mean that nobody is there. */
export const silenceLimitMs = 150_000;

const newline = 0x0a;

/** Lines of a watch as events. Throws WatchExpired for 410, whether by status or by an ERROR event. */
export async function* readWatch(body: AsyncIterable<Uint8Array>): AsyncIterable<WatchEvent> {
  const lines = createCutter();
  for await (const chunk of body) for (const line of lines(chunk)) yield eventOf(line);
}

/**
 * Opens a body with a signal that fires, with WatchSilent, when no byte came for `limitMs`. Only ending the connection
 * ends the wait for its next byte, so the watchdog aborts the request itself.
 */
export async function* guardSilence(
  open: (signal: AbortSignal) => Promise<AsyncIterable<Uint8Array>>,
  limitMs: number,
  signal: AbortSignal | undefined,
  clock: Clock = systemClock,
): AsyncIterable<Uint8Array> {
  const silent = new AbortController();
  const over = new AbortController();
  let lastByte = clock.monotonic();
  const guard = async (): Promise<void> => {
    for (let left = limitMs; left > 0; left = lastByte + limitMs - clock.monotonic())
      await clock.sleep(left, { signal: over.signal });
    silent.abort(new WatchSilent(`the watch gave no byte for ${limitMs / 1000} s`));
  };
  guard().catch(() => undefined);
  const either = signal === undefined ? silent.signal : AbortSignal.any([signal, silent.signal]);
  try {
    for await (const chunk of await open(either)) {
      lastByte = clock.monotonic();
      yield chunk;
    }
  } catch (error) {
    either.throwIfAborted();
    throw error;
  } finally {
    over.abort();
  }
}

function eventOf(line: string): WatchEvent {
  const { type, object } = parseJson(line) as unknown as { type: string; object: KubeObject };
  switch (type) {
    case "ADDED":
    case "MODIFIED":
    case "DELETED":
      return { type, object };
    case "BOOKMARK":
      return { type, resourceVersion: object.metadata.resourceVersion ?? "" };
    default:
      throw errorOf(object as { code?: number });
  }
}

function errorOf(status: { code?: number; message?: string }): Error {
  if (status.code === 410) return new WatchExpired(status.message ?? "the watched version is too old");
  return new ApiError(status.code ?? 500, { message: status.message ?? "the watch ended with an error" });
}

const nothing = Buffer.alloc(0);

/** Gives the lines that each next chunk completes. Cut on raw bytes, so that a character split over two chunks stays whole. */
function createCutter(): (chunk: Uint8Array) => string[] {
  let rest = nothing;
  return (chunk) => {
    rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk]);
    const lines: string[] = [];
    for (let end = rest.indexOf(newline); end >= 0; end = rest.indexOf(newline)) {
      if (end > 0) lines.push(rest.toString("utf8", 0, end));
      rest = rest.subarray(end + 1);
    }
    // A view of no bytes would keep its whole chunk until the next event, which may be days away.
    if (rest.length === 0) rest = nothing;
    return lines;
  };
}
