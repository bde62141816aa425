import { execFile } from "node:child_process";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { git, type BareRepository } from "#hub/git/command.ts";
import { openRepository } from "#hub/git/object-reader.ts";

const run = promisify(execFile);
const large = 1_000_000;
let folder: Awaited<ReturnType<typeof mkdtempDisposable>>;
let repository: BareRepository;
beforeAll(async () => {
  folder = await mkdtempDisposable(join(tmpdir(), "plumbline-objects-"));
  repository = { directory: join(folder.path, "a.git"), searchPath: process.env["PATH"]! };
  await git(repository, ["init", "--quiet", "--bare", repository.directory]);
});
afterAll(() => folder[Symbol.asyncDispose]());

const store = async (text: string): Promise<string> =>
  (await git(repository, ["hash-object", "-w", "--stdin"], { input: text })).toString("utf8").trim();

/** The git processes that answer for this repository now. */
async function readers(): Promise<number[]> {
  const { stdout } = await run("ps", ["-eo", "pid,args"]);
  const lines = stdout.split("\n").filter((line) => line.includes(repository.directory) && line.includes("cat-file"));
  return lines.map((line) => Number.parseInt(line, 10));
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 20));
}

test("one git answers many questions, also about what came after it was started", async () => {
  // Longer than anything takes between two questions here, on whatever machine.
  const { objects } = openRepository(repository, 3_600_000);
  const first = await store("first\n");
  expect((await objects.read([first], large)).map((one) => one?.bytes.toString("utf8"))).toEqual(["first\n"]);
  const [reader] = await readers();
  const later = await store("x".repeat(300_000));
  const asked = await Promise.all([
    objects.read([later, first], large),
    objects.read(["0".repeat(40), first], large),
    objects.read([], large),
  ]);
  expect(asked.map((answer) => answer.map((one) => one?.bytes.length))).toEqual([[300_000, 6], [undefined, 6], []]);
  expect(await readers()).toEqual([reader]);
  process.kill(reader!, "SIGKILL");
});

test("it ends when nobody asks, and the next question has another", async () => {
  const { objects } = openRepository(repository);
  const first = await store("first\n");
  await objects.read([first], large);
  await until(async () => (await readers()).length === 0);
  expect((await objects.read([first], large))[0]?.type).toBe("blob");
});

test("a reader that somebody killed is replaced, and one question's fault is not the next one's", async () => {
  const { objects } = openRepository(repository);
  const [small, big] = [await store("small"), await store("b".repeat(100))];
  await objects.read([small], large);
  for (const pid of await readers()) process.kill(pid, "SIGKILL");
  expect((await objects.read([small], large))[0]?.bytes.toString("utf8")).toBe("small");
  await expect(objects.read([small, big, small], 50)).rejects.toThrow("has 100 bytes, at most 50 are read");
  expect((await objects.read([big, small], large)).map((one) => one?.bytes.length)).toEqual([100, 5]);
  expect((await objects.describe([big, "HEAD:none"])).map((one) => one?.type)).toEqual(["blob", undefined]);
});

test("a repository that is not there is an error in git's words, each time", async () => {
  const { objects } = openRepository({ ...repository, directory: join(folder.path, "none.git") });
  for (let n = 0; n < 2; n += 1)
    await expect(objects.read(["HEAD"], large)).rejects.toThrow(/^git cat-file: .*not a git repository/);
});
