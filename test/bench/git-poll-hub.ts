// The part of a hub that looks at repositories, as a process of its own, so that the kernel counts what it costs.
import { openConnections } from "#hub/git/connections.ts";
import { openSource, type Source } from "#hub/loop/sources.ts";
import { atMost } from "#lib/at-most.ts";
import { sourceOptions } from "#test/harness/source-options.ts";

const [first = "", count = "", intervalMs = "", dataFolder = ""] = process.argv.slice(2);
const allowedHosts = new Set(["127.0.0.1"]);
const stop = new AbortController();
const connections = openConnections(allowedHosts);
const sources = new Map<string, Source>();
const few = atMost(8);

await Promise.all(
  Array.from({ length: Number(count) }, (_, n) =>
    few(async () => {
      const name = `r${n}`;
      const source = await openSource(
        { name, url: first.replace("r0", name), remote: {}, follows: () => ["main"] },
        sourceOptions(dataFolder, stop.signal, { allowedHosts, connections, intervalMs: Number(intervalMs) }),
      );
      await source.following.look();
      sources.set(name, source);
    }),
  ),
);
process.on("message", (name: string) => {
  void sources
    .get(name)
    ?.following.look()
    .then(() => process.send?.("looked"));
});
process.once("disconnect", () => {
  stop.abort();
  void connections[Symbol.asyncDispose]();
});
process.send?.("ready");
