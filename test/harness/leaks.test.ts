import { mkdir, mkdtempDisposable, readdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { startProcess } from "#test/harness/process.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const check = join(root, "test", "harness", "leak-check.ts");

/** Runs a test file of this body under the leak check, as every test file runs, and gives how it ended. */
async function runFile(body: string): Promise<{ code: number | null; said: string; left: string }> {
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-leaks-"));
  const temporary = join(folder.path, "tmp");
  await mkdir(temporary);
  const config = `export default { test: { globals: true, setupFiles: [${JSON.stringify(check)}] } };\n`;
  await writeFile(join(folder.path, "vitest.config.mjs"), config);
  await writeFile(join(folder.path, "one.test.mjs"), body);
  const env = { PATH: process.env["PATH"], TMPDIR: temporary, NO_COLOR: "1" };
  const arguments_ = [join(root, "node_modules", "vitest", "vitest.mjs"), "run", "--root", folder.path];
  await using running = startProcess(process.execPath, arguments_, { env, cwd: root });
  await running.ended;
  const left = (await readdir(temporary)).filter((name) => name.startsWith("plumbline-")).join();
  return { code: running.child.exitCode, said: running.log(), left };
}

const network = `import net from "node:net"; import { once } from "node:events";`;
const listening = `const server = net.createServer().listen(0, "127.0.0.1"); await once(server, "listening");`;
const connected = `const socket = net.connect(server.address().port, "127.0.0.1"); await once(socket, "connect");`;
const inTest = (head: string, body: string): string => `${head}\ntest("passes", async () => { ${body} });\n`;

test.concurrent.each([
  ["a connection", inTest(network, `${listening} ${connected} server.close();`)],
  ["a listening server", inTest(network, listening)],
  ["a timer", inTest("", `setInterval(() => {}, 1000);`)],
  ["a running process", inTest(`import { spawn } from "node:child_process";`, `spawn("sleep", ["20"]);`)],
  ["the temporary folder left-", inTest(folders(), `mkdtempSync(join(tmpdir(), "left-"));`)],
])("a test file that leaves %s behind fails, though its tests pass", async (what, body) => {
  const { code, said, left } = await runFile(body);
  expect(said).toMatch(/Tests +1 passed/);
  expect(said).toContain("the tests of this file left behind: ");
  expect(said).toContain(what);
  expect(code).toBe(1);
  expect(left).toBe("");
});

test("a test file passes that cleans up, even when what it closed takes its time to go", async () => {
  const body = `${listening} ${connected} setTimeout(() => { socket.destroy(); server.close(); }, 300);
    rmSync(mkdtempSync(join(tmpdir(), "left-")), { recursive: true });`;
  const { code, said, left } = await runFile(inTest(`${network}\n${folders()}`, body));
  expect(said).toMatch(/Tests +1 passed/);
  expect(code).toBe(0);
  expect(left).toBe("");
});

function folders(): string {
  return `import { mkdtempSync, rmSync } from "node:fs"; import { tmpdir } from "node:os"; import { join } from "node:path";`;
}
