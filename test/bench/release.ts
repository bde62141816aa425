import { join } from "node:path";
import { buildRelease } from "#test/harness/release.ts";
import { startTrio, type Trio } from "#test/harness/trio.ts";

/** A fleet that runs from a release, agents as their printed manifests start them. */
export async function startReleased(): Promise<Trio> {
  await using started = new AsyncDisposableStack();
  const { path } = started.use(await buildRelease());
  const trio = started.use(await startTrio({ cli: join(path, "plumb.js"), printedSettings: true }));
  const all = started.move();
  return { ...trio, [Symbol.asyncDispose]: () => all.disposeAsync() };
}
