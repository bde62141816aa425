import { expect, test } from "vitest";
import { KeyedWorker } from "./keyed-worker.ts";

test("runs a key once more when it was asked for while it ran, and never twice at once", async () => {
  const runs: string[] = [];
  let release = (): void => undefined;
  const worker = new KeyedWorker<string>(async (key) => {
    runs.push(`${key} begins`);
    if (runs.length === 1) await new Promise<void>((resolve) => (release = resolve));
    runs.push(`${key} ends`);
  }, 4);
  worker.add("a");
  worker.add("a");
  worker.add("a");
  expect(runs).toEqual(["a begins"]);
  release();
  await worker.idle();
  expect(runs).toEqual(["a begins", "a ends", "a begins", "a ends"]);
});

test("keeps to its concurrency, and ends what runs when it is closed", async () => {
  let running = 0;
  let most = 0;
  const worker = new KeyedWorker<string>(async () => {
    running += 1;
    most = Math.max(most, running);
    await new Promise((resolve) => setImmediate(resolve));
    running -= 1;
  }, 2);
  for (const key of ["a", "b", "c", "d", "e"]) worker.add(key);
  await worker.idle();
  worker.add("f");
  await worker.close();
  expect([most, running, worker.isIdle]).toEqual([2, 0, true]);
});
