import { mkdtempDisposable, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openSealedStore } from "./sealed-store.ts";

const limits = { bytes: 10_000, files: 3 };
const name = (digit: string): string => digit.repeat(64);
const secret = Buffer.alloc(32, 1);
const text = async (content: Promise<Buffer | undefined>) => (await content)?.toString();

async function scratch() {
  const folder = await mkdtempDisposable(join(tmpdir(), "plumbline-store-"));
  const open = (key = secret, given = limits) => openSealedStore(join(folder.path, "kept"), key, "test/v1", given);
  return {
    open,
    path: (digit: string) => join(folder.path, "kept", name(digit)),
    [Symbol.asyncDispose]: () => folder.remove(),
  };
}

test("gives back what was kept, also after a restart", async () => {
  await using at = await scratch();
  const store = await at.open();
  await store.put(name("a"), Buffer.from("one"));
  expect(await text(store.get(name("a")))).toBe("one");
  expect(await text((await at.open()).get(name("a")))).toBe("one");
  expect(await store.get(name("b"))).toBeUndefined();
});

test("gives nothing that was changed, cut, renamed, or kept under another secret", async () => {
  await using at = await scratch();
  const store = await at.open();
  for (const digit of ["a", "b", "c"]) await store.put(name(digit), Buffer.from(`content of ${digit}`));
  const bytes = await readFile(at.path("a"));
  bytes[20]! ^= 1;
  await writeFile(at.path("a"), bytes);
  await writeFile(at.path("b"), bytes.subarray(0, 10));
  await writeFile(at.path("d"), await readFile(at.path("c")));
  expect(await (await at.open(Buffer.alloc(32, 2))).get(name("c"))).toBeUndefined();
  const again = await at.open();
  for (const digit of ["a", "b", "d"]) expect(await again.get(name(digit))).toBeUndefined();
});

test("keeps within its limits: what was not used for longest goes", async () => {
  await using at = await scratch();
  const store = await at.open();
  for (const digit of ["a", "b", "c"]) await store.put(name(digit), Buffer.from(digit));
  await store.get(name("a"));
  await store.put(name("d"), Buffer.from("d"));
  expect(await store.get(name("b"))).toBeUndefined();
  expect(await text(store.get(name("a")))).toBe("a");
  await store.put(name("e"), Buffer.alloc(9_950));
  expect(await store.get(name("a"))).toBeUndefined();
  expect((await store.get(name("e")))?.length).toBe(9_950);
  await store.put(name("f"), Buffer.alloc(20_000));
  expect(await store.get(name("f"))).toBeUndefined();
});

test("a restart with a lower limit, or after a write that did not end, leaves what is whole and within it", async () => {
  await using at = await scratch();
  const store = await at.open();
  for (const digit of ["a", "b", "c"]) await store.put(name(digit), Buffer.from(digit));
  await writeFile(join(at.path("a"), "..", "new-1"), "half");
  await at.open(secret, { bytes: 10_000, files: 1 });
  expect(await readdir(join(at.path("a"), ".."))).toHaveLength(1);
});
