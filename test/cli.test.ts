import { expect, test } from "vitest";
import { freePorts } from "#test/harness/free-port.ts";
import { startProcess } from "#test/harness/process.ts";

const cli = new URL("../cli/main.ts", import.meta.url).pathname;

async function plumb(...arguments_: string[]): Promise<{ code: number | null; said: string }> {
  const [port] = await freePorts(1);
  const env = { PATH: process.env["PATH"], LANG: "C.UTF-8", PLUMBLINE_HUB: `http://127.0.0.1:${port}` };
  await using running = startProcess(process.execPath, [cli, ...arguments_], { env });
  await running.ended;
  return { code: running.child.exitCode, said: running.log() };
}

test("alone and without a hub, it says how to start", async () => {
  const { code, said } = await plumb();
  expect(code).toBe(0);
  expect(said).toContain("No hub answers at http://127.0.0.1:");
  expect(said).toContain("plumb demo");
});

test.each([
  [["status"], 5, "start one with plumb hub"],
  [["status", "-o", "xml"], 2, "-o xml is no format"],
  [["statsu"], 2, "Did you mean status?"],
  [["drift", "--since", "soon"], 2, "write 30s, 15m, 24h or 7d"],
  [["remove", "shop"], 2, "name either --environment or --cluster"],
  [["validate", "nowhere"], 2, "there is no folder nowhere"],
  [["status", "--token-file", "nowhere"], 2, "the token file nowhere cannot be read"],
  [["promote", "--help"], 0, "Examples:"],
  [["why"], 2, "missing required argument"],
  [["why", "eu-7"], 2, "name an application too: plumb why eu-7 APPLICATION"],
  [["why", "prod/api/web"], 2, "write prod/api"],
  [["why", "--help"], 0, "plumb why prod/api eu-7"],
] as const)("plumb %j exits with %i and says what to do", async (arguments_, code, words) => {
  const ran = await plumb(...arguments_);
  expect([ran.code, ran.said]).toEqual([code, expect.stringContaining(words)]);
  expect(ran.said).not.toContain("\u001b[");
});
