import { expect, test } from "vitest";
import { createBlobCache } from "#hub/git/blob-cache.ts";

test("keeps what was asked for last, in bounded memory, and of each repository its own", () => {
  const cache = createBlobCache(10);
  const [ours, theirs] = [cache.of("/ours"), cache.of("/theirs")];
  ours.put("a", Buffer.from("12345"));
  theirs.put("a", Buffer.from("abc"));
  expect(ours.get("a")?.toString()).toBe("12345");
  ours.put("b", Buffer.from("678"));
  expect([ours.get("a")?.toString(), theirs.get("a"), ours.get("b")?.toString()]).toEqual(["12345", undefined, "678"]);
  ours.put("c", Buffer.alloc(11));
  expect([ours.get("a"), ours.get("b"), ours.get("c")]).toEqual([undefined, undefined, undefined]);
});

test("keeps no more than the content of what it was given a part of", () => {
  const answer = Buffer.from("head content tail");
  const kept = createBlobCache(100).of("/ours").put("a", answer.subarray(5, 12));
  answer.fill(0);
  expect(kept.toString()).toBe("content");
});
