import { expect, test } from "vitest";
import { readAtMost } from "#lib/read-at-most.ts";

test("a body is read to its end, up to its limit, and not one chunk beyond", async () => {
  let given = 0;
  async function* body(): AsyncGenerator<Uint8Array> {
    for (;;) {
      given += 1;
      yield Buffer.from("abcd");
      if (given === 2) return;
    }
  }
  const tooLong = (): Error => new RangeError("too long");
  expect((await readAtMost(body(), 8, tooLong)).toString()).toBe("abcdabcd");
  given = 0;
  await expect(readAtMost(body(), 3, tooLong)).rejects.toThrow("too long");
  expect(given).toBe(1);
});
