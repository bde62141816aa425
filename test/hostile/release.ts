import { execFile } from "node:child_process";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** What people run: the command line as one file, without the loader that reads TypeScript. */
export async function buildRelease(): Promise<AsyncDisposable & { readonly cli: string }> {
  const folder = await mkdtempDisposable(join(tmpdir(), "plumbline-release-"));
  const build = fileURLToPath(new URL("../../tools/build.js", import.meta.url));
  await promisify(execFile)(process.execPath, [build, folder.path]);
  return { cli: join(folder.path, "plumb.js"), [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}
