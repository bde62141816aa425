import { expect, test } from "vitest";
import { BoundedQueue } from "./bounded-queue.ts";

test("drops the oldest past its limit, and says which", async () => {
  const dropped: number[] = [];
  const queue = new BoundedQueue<number>(2, (value) => dropped.push(value));
  for (const value of [1, 2, 3]) queue.push(value);
  queue.close();
  expect(await Array.fromAsync(queue)).toEqual([2, 3]);
  expect(dropped).toEqual([1]);
});

test("gives what came before an error, then the error", async () => {
  const queue = new BoundedQueue<number>(8);
  queue.push(1);
  queue.close(new Error("cut"));
  const read: number[] = [];
  await expect(
    (async () => {
      for await (const value of queue) read.push(value);
    })(),
  ).rejects.toThrow("cut");
  expect(read).toEqual([1]);
});

test("wakes a reader that waits", async () => {
  const queue = new BoundedQueue<number>(8);
  const reading = queue[Symbol.asyncIterator]().next();
  queue.push(7);
  expect(await reading).toEqual({ done: false, value: 7 });
});
