import { expect, test } from "vitest";
import { shareByKey } from "./shared.ts";

test("makes one value for all who use it at once, and ends it with the last of them", async () => {
  const share = shareByKey<AsyncDisposable & { n: number }>();
  const said: string[] = [];
  let made = 0;
  const make = async () => {
    const n = (made += 1);
    return { n, [Symbol.asyncDispose]: async () => void said.push(`end ${n}`) };
  };
  {
    await using first = await share("a", make);
    {
      await using second = await share("a", make);
      await using other = await share("b", make);
      expect([first.value.n, second.value.n, other.value.n]).toEqual([1, 1, 2]);
    }
    expect(said).toEqual(["end 2"]);
  }
  expect(said).toEqual(["end 2", "end 1"]);
  await using later = await share("a", make);
  expect(later.value.n).toBe(3);
});

test("a failed making fails for all who waited, and not for who comes later", async () => {
  const share = shareByKey<AsyncDisposable>();
  const fails = () => Promise.reject<AsyncDisposable>(new Error("no room"));
  const both = await Promise.allSettled([share("a", fails), share("a", fails)]);
  expect(both.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  const good = await share("a", async () => ({ [Symbol.asyncDispose]: async () => undefined }));
  await good[Symbol.asyncDispose]();
});
