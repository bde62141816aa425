import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const file = "plumbline/state/v1/state.proto";

/** What the gate's check says of the protocol after a change; empty when it lets it pass. */
async function checked(change: (text: string) => string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "plumbline-protocol-"));
  try {
    await cp(join(root, "proto/plumbline"), join(folder, "proto/plumbline"), { recursive: true });
    await cp(join(root, "buf.yaml"), join(folder, "buf.yaml"));
    const text = await readFile(join(folder, "proto", file), "utf8");
    await writeFile(join(folder, "proto", file), change(text));
    const run = promisify(execFile)(
      join(root, "node_modules/.bin/buf"),
      ["breaking", "--against", join(root, "test/corpus/protocol")],
      { cwd: folder },
    );
    return await run.then(
      () => "",
      (error: { stdout: string }) => error.stdout,
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

test("the gate lets a new field pass, and stops a renumbered, retyped or missing one", async () => {
  const field = /string cluster = 1;/;
  expect(await checked((text) => text)).toBe("");
  expect(await checked((text) => text.replace(field, "string cluster = 1;\n  string colour = 1000;"))).toBe("");
  expect(await checked((text) => text.replace(field, "string cluster = 1000;"))).toContain(file);
  expect(await checked((text) => text.replace(field, "bytes cluster = 1;"))).toContain("bytes");
  expect(await checked((text) => text.replace(field, ""))).toContain(file);
});
