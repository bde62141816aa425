import { expect, test } from "vitest";
import { framed, frameReader } from "./framed.ts";

const messages = [
  {
    id: 1,
    files: [
      { path: "ü.yaml", bytes: Buffer.from("a\nb") },
      { path: "empty", bytes: Buffer.alloc(0) },
    ],
  },
  "only a word",
  { id: 2n, files: [], again: undefined, big: Buffer.alloc(200_000, 7) },
];

test("messages come as they were sent, however the stream is cut", () => {
  const stream = Buffer.concat(messages.flatMap(framed));
  for (const size of [1, 7, 8, 64, 65_536, stream.length]) {
    const heard: unknown[] = [];
    const read = frameReader((value) => heard.push(value));
    for (let at = 0; at < stream.length; at += size) read(stream.subarray(at, at + size));
    expect(heard).toEqual(messages);
  }
});

test("what is heard outlives the chunk that it came in", () => {
  const heard: { bytes: Buffer }[] = [];
  const read = frameReader((value) => heard.push(value as { bytes: Buffer }));
  const chunk = Buffer.concat(framed({ bytes: Buffer.from("kept") }));
  read(chunk);
  chunk.fill(0);
  expect(heard[0]!.bytes.toString()).toBe("kept");
});

test("other arrays than of bytes are refused", () => {
  expect(() => framed({ a: new Float64Array(2) })).toThrow("only arrays of bytes");
});
