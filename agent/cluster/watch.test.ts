import { expect, test } from "vitest";
import { ApiError, WatchExpired, WatchSilent } from "#agent/cluster/errors.ts";
import { guardSilence, readWatch } from "#agent/cluster/watch.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";

async function* bytes(...chunks: (string | Uint8Array)[]): AsyncIterable<Uint8Array> {
  for (const chunk of chunks) yield Buffer.from(chunk);
}
const read = (body: AsyncIterable<Uint8Array>) => Array.fromAsync(readWatch(body));
const modified = '{"type":"MODIFIED","object":{"metadata":{"name":"käse","generation":9007199254740993}}}\n';

test("joins events that were cut anywhere, also inside a character", async () => {
  const whole = Buffer.from(modified + modified);
  for (let at = 1; at < whole.length; at += 1) {
    const events = await read(bytes(whole.subarray(0, at), whole.subarray(at)));
    expect(events).toHaveLength(2);
    expect(events[1]).toMatchObject({ object: { metadata: { name: "käse", generation: 9007199254740993n } } });
  }
});

test("gives a bookmark as the version it stands for", async () => {
  const bookmark = '{"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"42"}}}\n';
  expect(await read(bytes(bookmark))).toEqual([{ type: "BOOKMARK", resourceVersion: "42" }]);
});

test("asks for a new list when the server has forgotten the version, and passes other errors on", async () => {
  const error = (code: number): string => `{"type":"ERROR","object":{"kind":"Status","code":${code},"message":"no"}}\n`;
  await expect(read(bytes(error(410)))).rejects.toThrow(WatchExpired);
  await expect(read(bytes(error(500)))).rejects.toThrow(ApiError);
});

test("ends a silent connection, and says that it was silent", async () => {
  const silent = (signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> =>
    Promise.resolve(
      (async function* () {
        yield Buffer.from(modified);
        await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      })(),
    );
  await expect(read(guardSilence(silent, 30, undefined))).rejects.toThrow(WatchSilent);
});

test("is silent only when nothing came since the last byte, however long the watch has lived", async () => {
  const clock = new VirtualClock();
  const source = new TransformStream<Uint8Array, Uint8Array>();
  const writer = source.writable.getWriter();
  const open = async (signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> => {
    signal.addEventListener("abort", () => void writer.abort(signal.reason).catch(() => undefined));
    return source.readable;
  };
  const heard: string[] = [];
  const reading = (async () => {
    for await (const event of readWatch(guardSilence(open, 150_000, undefined, clock))) heard.push(event.type);
  })();
  const ended = expect(reading).rejects.toThrow("the watch gave no byte for 150 s");
  for (let round = 0; round < 5; round += 1) {
    await clock.advance(149_999);
    await writer.write(Buffer.from(modified));
    await clock.advance(0);
  }
  expect(heard).toHaveLength(5);
  await clock.advance(150_000);
  await ended;
});
