import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { freePorts, takePort } from "./free-port.ts";

const module = new URL("./free-port.ts", import.meta.url).href;

/** Whether another process could take it, which then ends. */
async function isTakenElsewhere(port: number): Promise<boolean> {
  const script = `process.stdout.write(String(await (await import("${module}")).takePort(${port})))`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script]);
  return stdout === "true";
}

test("a port is one process's, also while nothing listens there, until that process ends", async () => {
  const [port] = (await freePorts(1)) as [number];
  expect([await takePort(port), await isTakenElsewhere(port)]).toEqual([false, false]);
  let other = port;
  while (!(await isTakenElsewhere(other))) other = 10_081 + ((other + 1) % 20_000);
  expect(await takePort(other)).toBe(true);
});
