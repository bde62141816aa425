import { strict as assert } from "node:assert";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { WatchExpired } from "#agent/cluster/errors.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import type { KubeObject } from "#proto/object.ts";
import type { DriftCase } from "./case.ts";
import { settings } from "./objects.ts";
import type { Observed, World } from "./world.ts";

const restoredData: DriftCase["expected"] = {
  reported: [
    "changed, healed: data.level by unknown (admission or a forged entry)",
    "deleted, healed by unknown (admission or a forged entry)",
    "the agent's memory: the API server went back in time; what the agent knows is written anew",
  ],
  restored: true,
  writes: { "patch configmaps": 2 },
};

/** Servers that go away, say nothing, or come back with other data: nothing missed, nothing invented. */
export const interruptionCases: readonly DriftCase[] = [
  {
    number: 30,
    name: "410 Gone on every watch: nothing missed, nothing invented",
    expected: {
      reported: ["changed, healed: data.level by kubectl-edit"],
      restored: true,
      writes: { "patch configmaps": 1 },
    },
    async run(world) {
      const broken: (() => void)[] = [];
      await world.stop();
      world.wrapAgent((cluster) => expiring(cluster, broken));
      await world.start();
      const [a, b] = [settings(world, { level: "info" }), settings(world, { level: "b" }, "b")];
      await world.deploy([a, b]);
      return world.observe(async () => {
        const before = await watches(world);
        const ended = broken.splice(0);
        const changed = world.edit(a, { "data.level": "debug" });
        for (const end of ended) end();
        await changed;
        await watchedAgain(world, before + ended.length);
      });
    },
  },
  {
    number: 30,
    name: "the API server killed and started again, and edits before the agent is back",
    isRealOnly: true,
    expected: {
      reported: [
        "changed, healed: data.level by kubectl-edit",
        "deleted, healed by unknown (admission or a forged entry)",
      ],
      restored: true,
      writes: { "patch configmaps": 2 },
    },
    async run(world) {
      const [a, b, c] = ["a", "b", "c"].map((name) => settings(world, { level: "info" }, name)) as [
        KubeObject,
        KubeObject,
        KubeObject,
      ];
      await world.deploy([a, b, c]);
      return sortedReports(
        await world.observe(async () => {
          const before = await watches(world);
          const startAgain = await world.backend.plane!.stopApiserver();
          await startAgain();
          await world.edit(a, { "data.level": "debug" });
          const { uid } = (await world.get(b)).metadata;
          await world.delete(b);
          await healing(world, async () => {
            const again = await world.person.get(world.address(b));
            return (await levelOf(world, a)) === "info" && again !== undefined && again.metadata.uid !== uid;
          });
          await watchedAgain(world, before + watchedKinds);
        }),
      );
    },
  },
  {
    number: 30,
    name: "a watch that is silently dead",
    isRealOnly: true,
    expected: {
      reported: ["changed, healed: data.level by kubectl-edit"],
      restored: true,
      writes: { "patch configmaps": 1 },
    },
    async run(world) {
      const [a, b] = [settings(world, { level: "info" }), settings(world, { level: "b" }, "b")];
      await world.deploy([a, b]);
      const watchdog = new VirtualClock();
      await world.stop();
      world.accessAgent({ clock: watchdog });
      let opened = 0;
      world.wrapAgent((cluster) => deaf(cluster, () => (opened += 1)));
      await world.start();
      await world.until(() => opened === watchedKinds);
      return world.observe(async () => {
        await world.edit(a, { "data.level": "debug" });
        await watchdog.advance(silenceLimitMs - 1);
        assert.equal(await levelOf(world, a), "debug", "a dead watch tells nothing");
        const before = await watches(world);
        await watchdog.advance(1);
        await healing(world, async () => (await levelOf(world, a)) === "info");
        await watchedAgain(world, before + watchedKinds);
      });
    },
  },
  {
    number: 30,
    name: "etcd put back to an older copy of its data",
    isRealOnly: true,
    expected: restoredData,
    run: (world) => runOnOlderData(world, async () => undefined),
  },
  {
    number: 30,
    name: "etcd put back to an older copy, and come to the same versions by other writes before the agent is back",
    isRealOnly: true,
    expected: restoredData,
    run: (world) =>
      runOnOlderData(world, async (known) => {
        const other = settings(world, {}, "other");
        await world.person.apply(other, { force: true });
        for (let count = 0; BigInt((await world.get(other)).metadata.resourceVersion ?? "0") <= known; count += 1)
          await world.edit(other, { "data.count": String(count) });
      }),
  },
];

/** Namespaces and ConfigMaps. */
const watchedKinds = 2;
/** Without a byte for so long a watch is dead. */
const silenceLimitMs = 150_000;

/** `beforeItIsBack` is given the newest version that the agent saw of what it applied. */
async function runOnOlderData(world: World, beforeItIsBack: (known: bigint) => Promise<void>): Promise<Observed> {
  const [a, b, same] = [settings(world, {}), settings(world, {}, "b"), settings(world, { level: "x" }, "same")];
  await world.deploy([{ ...a, data: { level: "old" } }, same]);
  const restore = await world.backend.plane!.saveData();
  const newer = [{ ...a, data: { level: "new" } }, b, same];
  await world.deploy(newer);
  // One more document, which changes no inventory: it lies in a Secret of its own.
  const run = world.documents.run("shop", [world.ownNamespace, ...newer]);
  await world.take(run, world.documents.hold("other", "its wave is closed"));
  const newest = world.engine.order();
  const versions = await Promise.all(
    [a, b].map(async (one) => BigInt((await world.get(one)).metadata.resourceVersion ?? "0")),
  );
  const known = versions.reduce((most, one) => (one > most ? one : most));
  const observed = await world.observe(async () => {
    const before = await watches(world);
    await restore();
    // The agent's clock stands: found away once, the server is not asked again before that.
    await beforeItIsBack(known);
    assert.equal(await levelOf(world, a), "old");
    await healing(
      world,
      async () => (await levelOf(world, a)) === "new" && (await world.person.get(world.address(b))) !== undefined,
    );
    await watchedAgain(world, before + watchedKinds);
  });
  // Its own memory was as old as all the rest, and was written anew: another start knows what this one knew.
  await world.stop();
  const told = world.journal.range.last;
  await world.start();
  await world.caughtUp();
  assert.deepEqual(world.reports(told), []);
  assert.deepEqual(world.engine.order(), newest);
  assert.equal(world.engine.statuses()[0]?.objects, 4);
  await world.deploy([...newer.slice(1), { ...a, data: { level: "newest" } }]);
  assert.equal(await levelOf(world, a), "newest");
  assert.equal(world.engine.statuses()[0]?.reason, "");
  return sortedReports(observed);
}

/** Lets the agent's waits pass until something has come about. */
function healing(world: World, holds: () => Promise<boolean>): Promise<void> {
  return world.until(async () => {
    await world.clock.advance(1_000);
    return holds();
  });
}

/** Watches may be turned away by a server that begins, and wait by the agent's clock: what is there is judged in the end. */
const watchedAgain = (world: World, count: number): Promise<void> =>
  healing(world, async () => (await watches(world)) >= count && (await world.isCaughtUp()));

const levelOf = async (world: World, object: KubeObject): Promise<unknown> =>
  ((await world.get(object))["data"] as { level?: string } | undefined)?.level;

/** Watches that the server has answered. A kind that needs no heal is watched again when it is: what it asks belongs to the case. */
async function watches(world: World): Promise<number> {
  const requests = await world.requests();
  return (requests["watch namespaces"] ?? 0) + (requests["watch configmaps"] ?? 0);
}

// Two objects are healed at once: which is told first is chance.
const sortedReports = <T extends { reported: readonly string[] }>(observed: T): T => ({
  ...observed,
  reported: [...observed.reported].sort(),
});

/** Until it is listed a second time a kind is watched at a version that never comes: the server answers, and is silent for ever. */
function deaf(cluster: Cluster, opened: () => void): Partial<Cluster> {
  const listed = new Map<string, number>();
  return {
    list(kind, selection) {
      listed.set(kind.kind, (listed.get(kind.kind) ?? 0) + 1);
      return cluster.list(kind, selection);
    },
    watch(...[kind, from, selection]: Parameters<Cluster["watch"]>) {
      const isDeaf = (listed.get(kind.kind) ?? 0) < 2;
      opened();
      return cluster.watch(kind, isDeaf ? String(BigInt(from) + 1_000_000_000n) : from, selection);
    },
  };
}

/** Each watch can be ended as by a server that has forgotten its version, and does not know it again: only a list gives a newer one. */
function expiring(cluster: Cluster, broken: (() => void)[]): Partial<Cluster> {
  const forgotten = new Set<string>();
  const expired = (): WatchExpired => new WatchExpired("too old resource version");
  return {
    list(kind, selection) {
      forgotten.delete(kind.kind);
      return cluster.list(kind, selection);
    },
    async *watch(...[kind, from, selection = {}]: Parameters<Cluster["watch"]>) {
      if (forgotten.has(kind.kind)) throw expired();
      const gone = new AbortController();
      broken.push(() => {
        forgotten.add(kind.kind);
        gone.abort(expired());
      });
      const signal = AbortSignal.any([gone.signal, ...(selection.signal === undefined ? [] : [selection.signal])]);
      try {
        yield* cluster.watch(kind, from, { ...selection, signal });
      } catch (error) {
        throw gone.signal.aborted ? gone.signal.reason : error;
      }
    },
  };
}
