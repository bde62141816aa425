import { expect, test } from "vitest";
import { kubeconfigAccess } from "#agent/cluster/access.ts";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { ServerAway } from "#agent/cluster/errors.ts";
import { openKubernetes } from "#agent/cluster/kubernetes.ts";
import { simulatedBackend } from "#test/drift-cases/backend.ts";
import { World } from "#test/drift-cases/world.ts";
import { startApiProxy } from "#test/harness/api-proxy.ts";
import { openSharedControlPlane } from "#test/harness/shared-control-plane.ts";
import { settings } from "./apply/objects.ts";

test("a watch asks for bookmarks, and for no end of its own", async () => {
  await using plane = await openSharedControlPlane();
  await using proxy = await startApiProxy(await kubeconfigAccess(plane.adminKubeconfig));
  await using agent = openKubernetes({ server: proxy.url, credentials: async () => ({ headers: {} }) });
  const kind = (await agent.kindOf("v1", "Namespace"))!;
  const stop = new AbortController();
  const watching = async (): Promise<void> => {
    for await (const _event of agent.watch(kind, "0", { signal: stop.signal })) stop.abort(new Error("seen enough"));
  };
  await expect(watching()).rejects.toThrow("seen enough");
  const asked = proxy.seen.filter((line) => line.includes("watch=true"));
  expect(asked).toEqual([expect.stringContaining("allowWatchBookmarks=true")]);
  expect(asked[0]).not.toContain("timeoutSeconds");
});

test("a watch of a quiet kind goes on from its last bookmark, without a list, when the server closes it", async () => {
  await using backend = simulatedBackend();
  await using world = await World.open(backend, "bookmarks");
  const opened: string[] = [];
  await world.stop();
  world.wrapAgent((cluster) => ({
    watch(...[kind, from, selection]: Parameters<Cluster["watch"]>) {
      if (kind.kind === "ConfigMap") opened.push(from);
      return cluster.watch(kind, from, selection);
    },
  }));
  await world.start();
  await world.deploy([settings(world, "quiet")]);
  const lists = (await world.requests())["list configmaps"];
  // What the watch does not hear of takes the server's version on.
  for (let n = 0; n < 20; n += 1) await world.person.apply(settings(world, "loud", { n: String(n) }), { force: true });
  const newest = BigInt((await world.get(settings(world, "loud"))).metadata.resourceVersion!);
  expect(opened.map(BigInt).every((from) => from < newest)).toBe(true);
  backend.simulated!.bookmarks();
  await new Promise((resolve) => setImmediate(resolve));
  await world.engine.settled();
  const before = opened.length;
  backend.simulated!.cutWatches();
  await world.until(() => opened.length > before);
  expect(BigInt(opened.at(-1)!)).toBe(newest);
  expect((await world.requests())["list configmaps"]).toBe(lists);
});

test("an object made after the copy to which a server was put back is missed, though all else in that copy is as it was", async () => {
  await using backend = simulatedBackend();
  await using world = await World.open(backend, "older");
  await world.stop();
  const away = new AbortController();
  let copy: string | undefined;
  world.wrapAgent((cluster) => ({
    list: async (kind, selection) =>
      copy !== undefined && kind.kind === "ConfigMap"
        ? { items: [], resourceVersion: copy }
        : cluster.list(kind, selection),
    async *watch(...[kind, from, selection = {}]: Parameters<Cluster["watch"]>) {
      const isQuiet = copy !== undefined && kind.kind === "ConfigMap";
      const signals = [
        ...(selection.signal === undefined ? [] : [selection.signal]),
        ...(isQuiet ? [] : [away.signal]),
      ];
      const signal = AbortSignal.any(signals);
      // Of the copy, to which nothing happens.
      if (isQuiet)
        await new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      yield* cluster.watch(kind, from, { ...selection, signal });
    },
  }));
  await world.start();
  const older = (await world.get({ ...world.ownNamespace, metadata: { name: world.agentNamespace } })).metadata;
  const a = settings(world, "a", { level: "info" });
  await world.deploy([a]);
  const { uid = "" } = (await world.get(a)).metadata;
  // With the copy in force, and nobody to tell of it.
  copy = older.resourceVersion!;
  away.abort(new ServerAway("the connection was refused"));
  await world.person.delete(world.address(a), { uid });
  await world.clock.advance(60_000);
  await world.until(async () => (await world.person.get(world.address(a))) !== undefined);
  await world.engine.settled();
  expect(world.reports().filter((line) => line.startsWith("deleted"))).toHaveLength(1);
  expect(world.reports().join("\n")).toContain("went back in time");
});
