import { expect, test } from "vitest";
import { Slots } from "./slots.ts";

test("only so many work at once, and one that waits lets another in", async () => {
  const slots = new Slots(1);
  const seen: string[] = [];
  let open = (): void => undefined;
  const gate = new Promise<void>((resolve) => (open = resolve));
  const first = slots.within(async () => {
    seen.push("first");
    await slots.aside(() => gate);
    seen.push("first again");
  });
  const second = slots.within(async () => {
    seen.push("second");
    open();
    await gate;
    seen.push("second ends");
  });
  await Promise.all([first, second]);
  expect(seen).toEqual(["first", "second", "second ends", "first again"]);
});

test("a place is given back by what fails", async () => {
  const slots = new Slots(1);
  await expect(slots.within(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
  await expect(slots.within(() => slots.aside(() => Promise.reject(new Error("no"))))).rejects.toThrow("no");
  expect(await slots.within(() => Promise.resolve("in"))).toBe("in");
});
