import { strict as assert } from "node:assert";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { silenceLimitMs } from "#agent/cluster/watch.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import type { KubeObject } from "#proto/object.ts";
import type { DriftCase } from "./case.ts";
import { settings } from "./objects.ts";
import type { World } from "./world.ts";

/** Servers that go away, say nothing, or come back with other data: nothing missed, nothing invented. */
export const interruptionCases: readonly DriftCase[] = [
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
          const startAgain = await world.backend.plane!.stopApiserver();
          await startAgain();
          await world.edit(a, { "data.level": "debug" });
          const { uid } = (await world.get(b)).metadata;
          await world.delete(b);
          await healing(world, async () => {
            const again = await world.person.get(world.address(b));
            return (await levelOf(world, a)) === "info" && again !== undefined && again.metadata.uid !== uid;
          });
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
        await watchdog.advance(1);
        await healing(world, async () => (await levelOf(world, a)) === "info");
      });
    },
  },
  {
    number: 30,
    name: "etcd put back to an older copy of its data",
    isRealOnly: true,
    expected: {
      reported: [
        "changed, healed: data.level by unknown (admission or a forged entry)",
        "deleted, healed by unknown (admission or a forged entry)",
        "the agent's memory: the API server went back in time; what the agent knows is written anew",
      ],
      restored: true,
      writes: { "patch configmaps": 2 },
    },
    async run(world) {
      const watchdog = new VirtualClock();
      await world.stop();
      world.accessAgent({ clock: watchdog });
      await world.start();
      const [a, b, same] = [settings(world, {}), settings(world, {}, "b"), settings(world, { level: "x" }, "same")];
      await world.deploy([{ ...a, data: { level: "old" } }, same]);
      const restore = await world.backend.plane!.saveData();
      const newer = [{ ...a, data: { level: "new" } }, b, same];
      await world.deploy(newer);
      const observed = await world.observe(async () => {
        const before = await watches(world);
        await restore();
        // Every watch is opened again at a version that is yet to come, and hears nothing until it is called silent.
        await healing(world, async () => (await watches(world)) >= before + watchedKinds);
        assert.equal(await levelOf(world, a), "old");
        await watchdog.advance(silenceLimitMs);
        await healing(world, async () => {
          // A server that only begins turns watches away: one that was opened after that advance is silent as well.
          await watchdog.advance(silenceLimitMs / 100);
          return (await levelOf(world, a)) === "new" && (await world.person.get(world.address(b))) !== undefined;
        });
      });
      // Its own memory was as old as all the rest, and was written anew: another start knows what this one knew.
      await world.stop();
      const told = world.journal.range.last;
      await world.start();
      await world.caughtUp();
      assert.deepEqual(world.reports(told), []);
      assert.equal(world.engine.statuses()[0]?.objects, 4);
      await world.deploy([...newer.slice(1), { ...a, data: { level: "newest" } }]);
      assert.equal(await levelOf(world, a), "newest");
      assert.equal(world.engine.statuses()[0]?.reason, "");
      return sortedReports(observed);
    },
  },
];

/** Namespaces and ConfigMaps. */
const watchedKinds = 2;

/** Lets the agent's waits pass until something has come about. */
function healing(world: World, holds: () => Promise<boolean>): Promise<void> {
  return world.until(async () => {
    await world.clock.advance(1_000);
    return holds();
  });
}

const levelOf = async (world: World, object: KubeObject): Promise<unknown> =>
  ((await world.get(object))["data"] as { level?: string } | undefined)?.level;

const watches = async (world: World): Promise<number> => {
  const requests = await world.requests();
  return (requests["watch namespaces"] ?? 0) + (requests["watch configmaps"] ?? 0);
};

// Two objects are healed at once: which is told first is chance.
const sortedReports = <T extends { reported: readonly string[] }>(observed: T): T => ({
  ...observed,
  reported: [...observed.reported].sort(),
});

/** Its first watches are at a version that never comes: the server answers, and is silent for ever. */
function deaf(cluster: Cluster, opened: () => void): Cluster {
  const heard = new Set<string>();
  return Object.assign(Object.create(cluster) as Cluster, {
    watch(...[kind, from, selection]: Parameters<Cluster["watch"]>) {
      const isFirst = !heard.has(kind.kind);
      heard.add(kind.kind);
      opened();
      return cluster.watch(kind, isFirst ? String(BigInt(from) + 1_000_000_000n) : from, selection);
    },
  });
}
