import { openHostileHub, type HostileHub } from "#test/hostile/hub.ts";
import { buildRelease } from "#test/hostile/release.ts";

/** A released hub that is given what is hostile, and what came of each, printed at the end. */
export type HostileTable = AsyncDisposable & { readonly hub: HostileHub; readonly table: string[] };

export async function openHostileTable(): Promise<HostileTable> {
  await using started = new AsyncDisposableStack();
  const table: string[] = [];
  const release = started.use(await buildRelease());
  const hub = started.use(await openHostileHub({ pollMs: 1_000, renderers: true, cli: release.cli }));
  started.defer(() => void process.stdout.write(`${table.join("\n")}\n`));
  const all = started.move();
  return { hub, table, [Symbol.asyncDispose]: () => all.disposeAsync() };
}
