import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { inWorkplace, PathRefused } from "./workplace.ts";

const file = (path: string) => ({ path, bytes: Buffer.from(path) });

test("writes the files, and takes them away whatever happens", async () => {
  let folder = "";
  const work = inWorkplace([file("a/b/c.yaml"), file("d.yaml")], async (root) => {
    folder = root;
    expect(await readFile(join(root, "a/b/c.yaml"), "utf8")).toBe("a/b/c.yaml");
    expect((await readdir(root)).toSorted()).toEqual(["a", "d.yaml"]);
    throw new Error("the work failed");
  });
  await expect(work).rejects.toThrow("the work failed");
  expect(existsSync(folder)).toBe(false);
});

test.each(["../a", "a/../../b", "/etc/a", "a//b", "./a", "a\0b"])("refuses the path %j", async (path) => {
  await expect(inWorkplace([file(path)], async () => "written")).rejects.toThrow(PathRefused);
});

test("mixes no two files that have one name", async () => {
  await expect(inWorkplace([file("a"), file("a")], async () => "written")).rejects.toThrow("EEXIST");
});
