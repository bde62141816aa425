import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openFence, type Fence, type FenceLimits } from "#hub/render/fence.ts";

const run = promisify(execFile);
const limits: FenceLimits = { timeMs: 20_000, cpuSeconds: 10, memoryBytes: 2 ** 30, outputBytes: 2 ** 20 };
const system = { prlimit: "/usr/bin/prlimit", unshare: "/usr/bin/unshare" };
const withoutTools = { prlimit: "/nonexistent/prlimit", unshare: "/nonexistent/unshare" };

let directory: string;
let fenced: Fence;
let bare: Fence;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "fence-test-"));
  fenced = await openFence(system);
  bare = await openFence(withoutTools);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const shell = (fence: Fence, script: string, given: Partial<FenceLimits> = {}, signal?: AbortSignal) =>
  fence.run({ binary: "/bin/sh", arguments: ["-c", script], directory, limits: { ...limits, ...given }, signal });
/** Of every process of this machine. */
const commandLines = async (): Promise<string[]> => (await run("ps", ["-eo", "args"])).stdout.split("\n");
/** The test's own limit is the only clock. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 5));
}
const said = async (fence: Fence, script: string): Promise<string> => {
  const outcome = await shell(fence, script);
  return outcome.kind === "done" ? outcome.output.toString("utf8") : JSON.stringify(outcome);
};

test("gives the child an empty PATH and a home of its own that is gone afterwards, and nothing of ours", async () => {
  process.env["PLUMBLINE_CANARY"] = "secret";
  const environment = await said(fenced, 'cd "$HOME" && pwd && /usr/bin/env');
  delete process.env["PLUMBLINE_CANARY"];
  const [home = ""] = environment.split("\n");
  expect(home).toMatch(/plumbline-home-/);
  expect(environment).toMatch(/^PATH=$/m);
  expect(environment).not.toContain("CANARY");
  expect(existsSync(home)).toBe(false);
});

test("says what this machine cannot enforce, and runs all the same", async () => {
  expect(bare.missing).toEqual([
    expect.stringContaining("prlimit") as string,
    expect.stringContaining("unshare") as string,
  ]);
  expect(await said(bare, "echo on")).toBe("on\n");
});

test("tells a program's own failure from a limit", async () => {
  expect(await shell(fenced, "echo no such chart >&2; exit 3")).toEqual({
    kind: "failed",
    complaint: "no such chart\n",
  });
});

describe.each([
  ["with this machine's fences", () => fenced],
  ["with none of them", () => bare],
])("%s, ends what", (_name, fence) => {
  test("says too much", async () => {
    expect(await shell(fence(), "while :; do echo 0123456789012345678901234567890123456789; done")).toEqual({
      kind: "verbose",
      because: "gives more than 1 MB of output",
    });
  });
  test("takes too long", async () => {
    expect(await shell(fence(), "/bin/sleep 100", { timeMs: 200 })).toEqual({
      kind: "over",
      because: "takes more than 0.2 s",
    });
  });
  test("leaves a process behind that holds its output open", async () => {
    expect(await shell(fence(), "/bin/sleep 100 & echo done")).toMatchObject({ kind: "done" });
  });
  test("was started by what an abort ends", async () => {
    const beat = join(directory, `beat-${fence().missing.length}`);
    const stop = new AbortController();
    const loop = `while :; do echo x >> ${beat}; /bin/sleep 0.01; done`;
    const ran = shell(fence(), `/bin/sh -c '${loop}' & wait`, {}, stop.signal);
    const beats = () => readFile(beat, "utf8").catch(() => "");
    await until(async () => (await beats()) !== "");
    stop.abort(new Error("no longer wanted"));
    await expect(ran).rejects.toThrow("no longer wanted");
    // Dead, not orphaned: no process is left that has the file's name among its words.
    await until(async () => !(await commandLines()).some((line) => line.includes(beat)));
  });
});

test.runIf(existsSync(system.prlimit))("ends what uses too much of the processor", async () => {
  const outcome = await shell(await openFence({ ...system, unshare: withoutTools.unshare }), "while :; do :; done", {
    cpuSeconds: 1,
  });
  expect(outcome).toEqual({ kind: "over", because: "used more than 1 s of processor time" });
});

test.runIf(existsSync(system.prlimit))("gives no more memory than allowed", async () => {
  const outcome = await shell(fenced, 'a=xxxxxxxxxxxxxxxx; while :; do a="$a$a"; done', { memoryBytes: 2 ** 27 });
  expect(outcome).toMatchObject({ kind: "over" });
});

test("reaches no server, where the system lets us cut the network off", async ({ skip }) => {
  if (fenced.missing.length > 0) skip("this system does not let a process have a network of its own");
  const server = createServer((socket) => socket.end("reached")).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const connect = `exec 2>&1; /bin/bash -c 'exec 3<>/dev/tcp/127.0.0.1/${port} && read -r line <&3; echo "$line"'`;
  try {
    expect(await said(bare, connect)).toContain("reached");
    expect(await said(fenced, connect)).not.toContain("reached");
  } finally {
    server.close();
  }
});
