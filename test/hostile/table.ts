import { join } from "node:path";
import { buildRelease } from "#test/harness/release.ts";
import { openHostileHub, type HostileHub } from "#test/hostile/hub.ts";

/** A released hub that is given what is hostile, and what came of each, printed at the end. */
export type HostileTable = AsyncDisposable & { readonly hub: HostileHub; readonly table: string[] };

export async function openHostileTable(): Promise<HostileTable> {
  await using started = new AsyncDisposableStack();
  const table: string[] = [];
  const release = started.use(await buildRelease());
  const hub = started.use(
    await openHostileHub({ pollMs: 1_000, renderers: true, cli: join(release.path, "plumb.js") }),
  );
  started.defer(() => void process.stdout.write(`${table.join("\n")}\n`));
  const all = started.move();
  return { hub, table, [Symbol.asyncDispose]: () => all.disposeAsync() };
}
