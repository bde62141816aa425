import type { KubeObject } from "#proto/object.ts";
import { b1000 } from "#test/bench/b1000.ts";
import { filesOf } from "#test/bench/files.ts";
import { exactly, figure, quantile, type BenchResult } from "#test/bench/figures.ts";
import { cpuMsOf } from "#test/harness/process-usage.ts";
import { startReleased } from "#test/bench/release.ts";
import { clusterOf, type Trio } from "#test/harness/trio.ts";
import type { ClusterAnswer } from "#proto/api.ts";

type Figures = Pick<BenchResult, "runs" | "figures">;
const bookkeeping = new Set(["create secrets", "update secrets", "delete secrets"]);

/** Push → applied, as an independent watcher sees it, and what one changed object of B1000 costs the API server. */
export async function commit(quick: boolean): Promise<Figures> {
  await using trio = await startReleased();
  const objects = await applyB1000(trio);
  const runs = quick ? 20 : 100;
  const kind = (await trio.people.dev.kindOf("v1", "ConfigMap"))!;
  const first = objects.find(({ kind }) => kind === "ConfigMap")!;
  const namespace = first.metadata.namespace!;
  const times: number[] = [];
  const writes: number[] = [];
  const books: number[] = [];
  const reads: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const before = await countsOf(trio);
    const wanted = `v${run + 1}`;
    const stop = new AbortController();
    const { resourceVersion } = await trio.people.dev.list(kind, { namespace });
    const seen = (async () => {
      for await (const event of trio.people.dev.watch(kind, resourceVersion, { namespace, signal: stop.signal }))
        if (event.type !== "BOOKMARK" && (event.object["data"] as { a?: string }).a === wanted)
          return performance.now();
      return 0;
    })();
    const changed = { ...first, data: { ...(first["data"] as object), a: wanted } } as KubeObject;
    let pushed = 0;
    const { onPush } = trio.world.git;
    trio.world.git.onPush = async (name) => {
      pushed = performance.now();
      await onPush(name);
    };
    await trio.deploy("b1000", { dev: filesOf([changed, ...objects.filter((object) => object !== first)]) });
    trio.world.git.onPush = onPush;
    times.push((await seen) - pushed);
    stop.abort();
    await untilApplied(trio);
    const after = await countsOf(trio);
    writes.push(after.writes - before.writes);
    books.push(after.books - before.books);
    reads.push(after.reads - before.reads);
  }
  const sorted = [...times].sort((a, b) => a - b);
  return {
    runs,
    figures: {
      objectWrites: figure(writes, "requests", 1),
      bookkeepingWrites: figure(books, "requests", 3),
      reads: figure(reads, "requests", 2),
      p50Ms: figure(times, "ms", 100),
      p99Ms: figure([quantile(sorted, 0.99)], "ms", 500),
    },
  };
}

/** What a quiet cluster costs, idle and under twenty writes a second of others: requests by the audit log, CPU by /proc. */
export async function quiet(quick: boolean): Promise<Figures> {
  await using trio = await startReleased();
  await applyB1000(trio);
  const windowMs = quick ? 30_000 : 600_000;
  const limit = quick ? 1 : 0.5;
  const idle = await measured(trio, windowMs, () => Promise.resolve());
  const churn = await measured(trio, windowMs, (n) => touchObject(trio, n));
  return {
    runs: 1,
    figures: {
      requestsPerMinute: figure([idle.requests], "requests", limit),
      requestsPerMinuteUnderChurn: figure([churn.requests], "requests", limit),
      cpuMsPerMinute: figure([idle.cpuMs], "ms", 300),
      cpuMsPerMinuteUnderChurn: figure([churn.cpuMs], "ms", 1_000),
    },
  };
}

/** A restarted agent: one LIST and one watch a kind, no apply. */
export async function restart(): Promise<Figures> {
  await using trio = await startReleased();
  const objects = await applyB1000(trio);
  const writesBefore = await countsOf(trio);
  await trio.world.agent(clusterOf("dev")).kill("SIGTERM");
  const before = await countsOf(trio);
  await startAgain(trio);
  const after = await countsOf(trio);
  const kinds = new Set(objects.map(({ kind }) => kind)).size;
  return {
    runs: 1,
    figures: {
      requestsBeyondKinds: figure([after.all - before.all - 2 * kinds], "requests", 10),
      applies: figure([after.writes - writesBefore.writes], "requests", 0),
      driftReportedBeforeHealed: exactly(await reportsOffline(trio, objects), "episodes", 1),
    },
  };
}

async function startAgain(trio: Trio): Promise<void> {
  trio.startAgent("dev");
  await trio.world.until(
    "the agent to be back",
    async () => (await trio.world.ask<ClusterAnswer>("cluster", "show", clusterOf("dev"))).state === "Connected",
  );
  await untilApplied(trio);
}

/** A hand edit while no agent runs: how many episodes tell of it, first seen and then healed. */
async function reportsOffline(trio: Trio, objects: readonly KubeObject[]): Promise<number> {
  await trio.world.agent(clusterOf("dev")).kill("SIGTERM");
  const { namespace, name } = objects.find(({ kind }) => kind === "ConfigMap")!.metadata;
  const there = (await trio.get("dev", "v1", "ConfigMap", namespace!, name))!;
  await trio.people.dev.replace({ ...there, data: { ...(there["data"] as object), a: "by hand" } });
  await startAgain(trio);
  const rows = async () =>
    (await trio.world.drift()).filter(({ object }) => object === `ConfigMap ${namespace}/${name}`);
  await trio.world.until("the heal to be told", async () => (await rows()).some(({ state }) => state === "healed"));
  return (await rows()).filter(({ seenAt, healedInMs }) => seenAt !== "" && (healedInMs ?? -1) >= 0).length;
}

/** B1000 as an Application of dev, until all of it runs. */
export async function applyB1000(trio: Trio): Promise<KubeObject[]> {
  const objects = b1000();
  await trio.deploy("b1000", { dev: filesOf(objects) });
  await untilApplied(trio);
  return objects;
}

async function countsOf(trio: Trio): Promise<{ all: number; writes: number; books: number; reads: number }> {
  const own = (await trio.planes.dev.requests()).filter(({ user }) => user === trio.agentUser("dev"));
  const isRead = (verb: string): boolean => ["get", "list", "watch"].includes(verb);
  const changes = own.filter(({ verb }) => !isRead(verb));
  const books = changes.filter(({ verb, resource }) => bookkeeping.has(`${verb} ${resource}`)).length;
  return { all: own.length, writes: changes.length - books, books, reads: own.length - changes.length };
}

async function measured(trio: Trio, windowMs: number, tick: (n: number) => Promise<void>) {
  const before = await countsOf(trio);
  const cpuBefore = await cpuMsOf(trio.world.agent(clusterOf("dev")).pid);
  const started = performance.now();
  for (let n = 0; performance.now() - started < windowMs; n += 1) {
    const next = started + (n + 1) * 50;
    await tick(n);
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, next - performance.now())));
  }
  const minutes = (performance.now() - started) / 60_000;
  const cpuMs = (await cpuMsOf(trio.world.agent(clusterOf("dev")).pid)) - cpuBefore;
  return { requests: ((await countsOf(trio)).all - before.all) / minutes, cpuMs: cpuMs / minutes };
}

/** A write of somebody else to an object of ours, twenty a second: an event for the agent, as status is, and no drift. */
async function touchObject(trio: Trio, n: number): Promise<void> {
  const address = {
    apiVersion: "apps/v1",
    group: "apps",
    kind: "Deployment",
    namespace: `b1000-${n % 20}`,
    name: `d-${n % 20}`,
  };
  const found = await trio.people.dev.get(address);
  if (found === undefined) return;
  const annotations = { ...found.metadata.annotations, "example.com/churn": String(n) };
  await trio.people.dev.replace({ ...found, metadata: { ...found.metadata, annotations } });
}

const untilApplied = (trio: Trio): Promise<void> =>
  trio.world.until("B1000 to be applied", async () => {
    const shown = await trio.world.ask<ClusterAnswer>("cluster", "show", clusterOf("dev"));
    const row = shown.running.find(({ application }) => application === "b1000");
    return row?.phase === "Applied" && row.objects === b1000().length;
  });
