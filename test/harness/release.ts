import { execFile } from "node:child_process";
import { mkdtempDisposable, type DisposableTempDir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const build = fileURLToPath(new URL("../../tools/build.js", import.meta.url));

/** What people run, as `npm run build` makes it of this checkout, in a folder that is gone afterwards. */
export async function buildRelease(): Promise<DisposableTempDir> {
  const folder = await mkdtempDisposable(join(tmpdir(), "plumbline-release-"));
  await run(process.execPath, [build, folder.path]);
  return folder;
}
