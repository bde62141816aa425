import { execFile } from "node:child_process";
import { mkdtempDisposable, type DisposableTempDir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { startTrio, type Trio } from "#test/harness/trio.ts";

const run = promisify(execFile);
const build = fileURLToPath(new URL("../../tools/build.js", import.meta.url));

/** A fleet that runs from a release, agents as their printed manifests start them. */
export async function startReleased(): Promise<Trio> {
  await using started = new AsyncDisposableStack();
  const { path } = started.use(await buildRelease());
  const trio = started.use(await startTrio({ cli: join(path, "plumb.js"), printedSettings: true }));
  const all = started.move();
  return { ...trio, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

/** What `npm run build` makes of this checkout, in a folder that is gone afterwards. */
export async function buildRelease(): Promise<DisposableTempDir> {
  const folder = await mkdtempDisposable(join(tmpdir(), "plumbline-release-"));
  await run(process.execPath, [build, folder.path]);
  return folder;
}
