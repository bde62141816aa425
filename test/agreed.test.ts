import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Cluster } from "#agent/cluster/cluster.ts";
import type { Delivery } from "#proto/desired-state.ts";
import { ApplicationPhase, Health } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { ApiError } from "#agent/cluster/errors.ts";
import { unwatchedMs } from "#agent/engine/new-kinds.ts";
import { applicationName } from "#proto/ids.ts";
import type { KubeObject } from "#proto/object.ts";
import { simulatedBackend, type Backend } from "#test/drift-cases/backend.ts";
import { World } from "#test/drift-cases/world.ts";
import { deployment, give, isThere, settings, statusOf } from "./apply/objects.ts";
import { Lives, settings as livesSettings } from "./hooks/lives.ts";

let backend: Backend;
let round = 0;
beforeAll(() => void (backend = simulatedBackend()));
afterAll(() => backend[Symbol.asyncDispose]());
async function open(): Promise<World> {
  const world = await World.open(backend, `agreed-${(round += 1)}`);
  await world.person.create(world.ownNamespace);
  return world;
}
const minuteMs = 60_000;
const reports = (world: World): string[] => world.reports().map((line) => line.replace(/ by .*/, ""));

describe("a policy that changes", () => {
  test("to strict takes away what others had added before, of which no event will come", async () => {
    await using world = await open();
    const a = settings(world, "a", { level: "1" });
    await world.take(world.documents.run("shop", [a]));
    await world.edit(a, { "metadata.annotations": { note: "x" } });
    await world.engine.settled();
    expect(await world.value(a, "metadata.annotations.note")).toBe("x");
    await world.take(world.documents.run("shop", [a], { strict: true }));
    await world.until(async () => (await world.value(a, "metadata.annotations.note")) === undefined);
  });

  test("to strict, called off by a newer document that is strict too", async () => {
    await using world = await open();
    const a = settings(world, "a", { level: "1" });
    await world.take(world.documents.run("shop", [a]));
    await world.edit(a, { "metadata.annotations": { note: "x" } });
    await world.engine.settled();
    // Never ready: the next wave waits for it.
    const wave = settings(world, "later", {}, { "plumbline.dev/wave": "1" });
    const strict = { strict: true, timeoutMs: 60_000 };
    give(world, world.documents.run("shop", [a, deployment(world, "web"), wave], strict));
    await world.until(async () => isThere(world, deployment(world, "web")));
    await world.take(world.documents.run("shop", [a], strict));
    await world.until(async () => (await world.value(a, "metadata.annotations.note")) === undefined);
  });

  test("to strict with the revision that an agent has written already, and not remembered", async () => {
    await using world = await open();
    const [a, newer] = [settings(world, "a", { level: "1" }), settings(world, "a", { level: "2" })];
    await world.take(world.documents.run("shop", [a]));
    const strict = world.documents.sign(world.documents.run("shop", [newer], { strict: true }));
    await world.stop();
    // As its last life left it: applied, and the result lost. To apply it again then makes no event.
    const hand = await world.backend.as("plumbline");
    await hand.apply({ ...newer, metadata: { ...newer.metadata, labels: world.label } }, { force: true });
    await world.edit(a, { "metadata.annotations": { note: "x" } });
    await world.start();
    world.engine.take(strict, "");
    await world.engine.settled();
    expect(await world.value(a, "metadata.annotations.note")).toBeUndefined();
  });

  test("strict: what somebody adds while a revision is on its way is taken away, though its event was before the answer", async () => {
    await using world = await open();
    let isNext = false;
    await world.stop();
    world.wrapAgent((cluster) => ({
      async apply(...[object, options]: Parameters<typeof cluster.apply>) {
        if (isNext && object.kind === "ConfigMap") {
          isNext = false;
          await world.edit(settings(world, "a"), { "metadata.annotations": { note: "x" } });
        }
        return cluster.apply(object, options);
      },
    }));
    await world.start();
    const revision = (level: string) =>
      world.documents.run("shop", [settings(world, "a", { level })], { strict: true });
    await world.take(revision("1"));
    isNext = true;
    await world.take(revision("2"));
    await world.until(async () => (await world.value(settings(world, "a"), "metadata.annotations.note")) === undefined);
    expect(await world.value(settings(world, "a"), "data.level")).toBe("2");
  });

  test("an exception that goes on after a restart and then ends is no fight with admission", async () => {
    await using world = await open();
    const a = settings(world, "a", { level: "1" });
    const untilMs = world.clock.now() + 10 * minuteMs;
    const exceptions = [{ object: "*", fields: ["data.level"], untilMs, reason: "a try" }];
    await world.take(world.documents.run("shop", [a], { exceptions }));
    await world.edit(a, { "data.level": "by hand" });
    await world.until(async () => world.reports().length === 1);
    await world.engine.settled();
    await world.stop();
    await world.start();
    await world.engine.settled();
    expect(await world.value(a, "data.level")).toBe("by hand");
    await world.clock.advance(11 * minuteMs);
    await world.until(async () => (await world.value(a, "data.level")) === "1");
    await world.engine.settled();
    expect(reports(world).filter((line) => line.includes("contested"))).toEqual([]);
    expect(statusOf(world).drifted).toBe(0);
  });
});

describe("a kind that an apply is the first to write is watched", () => {
  /** An apply of two objects whose second write hangs until it is told to fail. */
  async function hanging(): Promise<{ world: World; a: KubeObject; fail: () => void }> {
    const world = await open();
    const { promise, reject } = Promise.withResolvers<KubeObject>();
    promise.catch(() => undefined);
    world.wrapAgent((cluster) => ({
      apply: (object, options) => (object.metadata.name === "b" ? promise : cluster.apply(object, options)),
    }));
    await world.stop();
    await world.start();
    const a = settings(world, "a", { level: "1" });
    give(world, world.documents.run("shop", [a, settings(world, "b")]));
    await world.until(async () => isThere(world, a));
    return { world, a, fail: () => reject(new ApiError(500, { message: "etcd is away" })) };
  }

  test("two seconds later at the latest, whatever is still being written", async () => {
    const { world, a, fail } = await hanging();
    await using _world = world;
    await world.edit(a, { "data.level": "by hand" });
    await world.clock.advance(unwatchedMs);
    await world.until(async () => (await world.value(a, "data.level")) === "1");
    fail();
  });

  test("later, when the server could not say under which version it serves it", async () => {
    await using world = await open();
    let isAway = true;
    world.wrapAgent((cluster) => ({
      servedKind: (apiVersion, kind, signal) =>
        isAway && kind === "ConfigMap"
          ? Promise.reject(new ApiError(500, { message: "etcd is away" }))
          : cluster.servedKind(apiVersion, kind, signal),
    }));
    await world.stop();
    await world.start();
    const a = settings(world, "a", { level: "1" });
    give(world, world.documents.run("shop", [a]));
    await world.until(async () => isThere(world, a));
    await world.clock.advance(minuteMs);
    isAway = false;
    await world.clock.advance(minuteMs);
    await world.edit(a, { "data.level": "by hand" });
    await world.until(async () => (await world.value(a, "data.level")) === "1");
    expect(statusOf(world).phase).toBe(ApplicationPhase.APPLIED);
  });

  test("also when the apply is called off by one that has nothing to write of it", async () => {
    const { world, a, fail } = await hanging();
    await using _world = world;
    give(world, world.documents.run("shop", [a]));
    fail();
    await world.until(async () => statusOf(world).phase === ApplicationPhase.APPLIED);
    await world.edit(a, { "data.level": "by hand" });
    await world.until(async () => (await world.value(a, "data.level")) === "1");
  });
});

test("a bundle that could not be stored is stored by the next try, before the head that names it", async () => {
  await using world = await open();
  let failures = 1;
  const made: string[] = [];
  world.wrapAgent((cluster) => ({
    async create(object, signal) {
      const { name } = object.metadata;
      if (name.startsWith("plumbline-bundle-") && failures-- > 0) throw new ApiError(500, { message: "etcd is away" });
      const there = await cluster.create(object, signal);
      made.push(name.replace(/-[0-9a-f]{32}-0$/, ""));
      return there;
    },
  }));
  await world.stop();
  await world.start();
  const a = settings(world, "a");
  give(world, world.documents.run("shop", [a]));
  await world.until(async () => failures === 0);
  const stored = (): string[] => made.filter((name) => name !== "plumbline-document");
  expect([stored(), await isThere(world, a)]).toEqual([[], false]);
  await world.clock.advance(minuteMs);
  await world.until(async () => isThere(world, a));
  expect(stored()).toEqual(["plumbline-bundle", "plumbline-application-shop"]);
});

test("a document that changes no object is kept once an agent has come to rest, however slow its API server is", async () => {
  await using world = await open();
  await world.stop();
  world.wrapAgent((cluster) => ({
    async create(object, signal) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      return cluster.create(object, signal);
    },
  }));
  await world.start();
  const shop = world.documents.run("shop", [settings(world, "a")]);
  await world.take(shop);
  await world.take(shop, world.documents.hold("other", "its wave is closed"));
  const taken = world.engine.order();
  await world.stop();
  await world.start();
  expect(world.engine.order()).toEqual(taken);
});

test("a fight that nobody goes on with is told as over, though nothing happens to the object any more", async () => {
  await using world = await open();
  const a = settings(world, "a", { level: "1" });
  await world.take(world.documents.run("shop", [a]));
  for (let n = 1; n <= 3; n += 1) {
    await world.edit(a, { "data.level": `by hand ${n}` });
    await world.until(async () => (await world.value(a, "data.level")) === "1");
    await world.engine.settled();
  }
  expect(statusOf(world).exceptional).toMatchObject([{ contested: true }]);
  await world.clock.advance(minuteMs);
  await world.engine.settled();
  expect(statusOf(world).exceptional).toMatchObject([{ contested: true }]);
  await world.clock.advance(2 * minuteMs);
  await world.engine.settled();
  expect(statusOf(world)).toMatchObject({ drifted: 0, exceptional: [] });
});

test("whatever is written for an Application is its ServiceAccount's: hooks, heals, labels and deletions too", async () => {
  await using world = await open();
  const writes: string[] = [];
  const telling = (who: string, cluster: Cluster): Partial<Cluster> => {
    const tell = (verb: string, { kind, namespace = "" }: { kind: string; namespace?: string | undefined }): void =>
      void (namespace === world.agentNamespace || writes.push(`${who} ${verb} ${kind}`));
    return {
      as: (user) => Object.assign(Object.create(cluster) as Cluster, telling(user, cluster.as(user))),
      apply: (object, options) => (
        tell("applies", { kind: object.kind, ...object.metadata }),
        cluster.apply(object, options)
      ),
      create: (object, signal) => (
        tell("creates", { kind: object.kind, ...object.metadata }),
        cluster.create(object, signal)
      ),
      replace: (object, signal) => (
        tell("replaces", { kind: object.kind, ...object.metadata }),
        cluster.replace(object, signal)
      ),
      delete: (address, options) => (tell("deletes", address), cluster.delete(address, options)),
    };
  };
  await world.stop();
  world.wrapAgent((cluster) => telling("agent", cluster));
  await world.start();
  const once = { "helm.sh/hook": "pre-install", "helm.sh/hook-delete-policy": "hook-succeeded" };
  const [a, b] = [settings(world, "a", { level: "1" }), settings(world, "b")];
  const delivery = { serviceAccount: `${world.namespace}/deployer` };
  const run = (objects: KubeObject[], more: Partial<Delivery> = {}) =>
    world.documents.run("shop", objects, { ...delivery, ...more });
  await world.take(run([settings(world, "hook", {}, once), a, b]));
  await world.edit(a, { "data.level": "by hand" });
  await world.until(() => world.drifts().length === 1);
  await world.edit(b, { "metadata.labels": {} });
  await world.until(() => world.drifts().length === 2);
  await world.take(run([a, b], { drift: "report", strict: true }));
  await world.edit(b, { "metadata.labels": {} });
  await world.until(() => world.drifts().length === 3);
  await world.take(run([a], { strict: true }));
  await world.edit(a, { "data.extra": "x" });
  await world.until(() => world.drifts().length === 4);
  await world.engine.settled();
  await world.take(world.documents.remove("shop", "delete"));
  expect(await isThere(world, a)).toBe(false);
  expect([...new Set(writes)].toSorted()).toEqual(
    ["applies", "deletes", "replaces"].map(
      (verb) => `system:serviceaccount:${world.namespace}:deployer ${verb} ConfigMap`,
    ),
  );
});

test("a revision that is taken back after an agent died in the middle of it leaves nothing of itself", async () => {
  for (let write = 1; write <= 8; write += 1)
    for (const moment of ["before", "after"] as const) {
      const lives = await Lives.open();
      const revision = (level: string) =>
        lives.documents.sign(
          lives.documents.run(
            "shop",
            ["a", "b"].map((name) => livesSettings(name, level)),
          ),
        );
      await lives.take(revision("1"));
      await lives.take(revision("2"), { write, moment });
      await lives.take(revision("1"));
      for (const name of ["a", "b"])
        expect(lives.get(livesSettings(name))?.["data"], `${name} ${moment} ${write}`).toEqual({ level: "1" });
    }
});

describe("Applications beside each other", () => {
  test("what leaves one for another that waits for it does not keep it from being well", async () => {
    await using world = await open();
    const moving = deployment(world, "web");
    // Never ready, for there is no controller here.
    await world.take(world.documents.run("base", [moving, settings(world, "a")], { timeoutMs: 1_000 }));
    expect(statusOf(world, "base").health).toBe(Health.IN_PROGRESS);
    const dependsOn = [applicationName("base")];
    await world.take(
      world.documents.run("base", [settings(world, "a")]),
      world.documents.run("shop", [moving], { dependsOn }),
    );
    await world.until(() => statusOf(world, "shop").objects === 1);
    expect(statusOf(world, "base")).toMatchObject({ objects: 1, health: Health.CURRENT });
    expect(await isThere(world, moving)).toBe(true);
  });

  test("a document that comes while a deletion is being asked about stops it", async () => {
    await using world = await open();
    const [a, b] = [settings(world, "a"), settings(world, "b")];
    const run = () => world.documents.run("shop", [a, b]);
    let isAsked = (): void => undefined;
    await world.stop();
    world.wrapAgent((cluster) => ({
      get: async (...asked: Parameters<typeof cluster.get>) => {
        const there = await cluster.get(...asked);
        if (asked[0].name === "b" && statusOf(world).phase === ApplicationPhase.REMOVING) isAsked();
        return there;
      },
    }));
    await world.start();
    await world.take(run());
    const uids = await Promise.all([a, b].map(async (object) => (await world.get(object)).metadata.uid));
    isAsked = () => give(world, run());
    await world.take(world.documents.remove("shop", "delete"));
    await world.engine.settled();
    const now = await Promise.all([a, b].map(async (object) => (await world.get(object)).metadata.uid));
    expect(now).toEqual(uids);
  });
});

test("an agent that lost its newest document goes back to no older one, not even if that is shown to it", async () => {
  await using world = await open();
  const [a, b] = [settings(world, "a"), settings(world, "b")];
  const older = world.documents.sign(world.documents.run("one", [a]), world.documents.run("two", [b]));
  world.engine.take(older, "");
  await world.engine.settled();
  const newer = world.documents.sign(
    world.documents.run("one", [settings(world, "a", { level: "2" })]),
    world.documents.run("two", [settings(world, "b", { level: "2" })]),
  );
  world.engine.take(newer, "");
  await world.engine.settled();
  await world.stop();
  const kind = (await world.person.kindOf("v1", "Secret"))!;
  const { items } = await world.person.list(kind, { namespace: world.agentNamespace });
  // The newest is nowhere any more; one place has an older one.
  const envelope = Buffer.from(older).toString("base64");
  for (const secret of items.filter(({ metadata }) => /^plumbline-(application|document)/.test(metadata.name)))
    await world.person.replace({ ...secret, data: { ...(secret["data"] as object), envelope } });
  await world.start();
  await world.engine.settled();
  expect(await world.value(a, "data.level")).toBe("2");
  const lost = /the document of generation \d+ is gone: all is kept as it is until the hub shows it again/;
  expect((world.events("notice") as { text: string }[]).map(({ text }) => text).join("\n")).toMatch(lost);
  world.engine.take(older, "");
  await world.engine.settled();
  expect(await world.value(a, "data.level")).toBe("2");
  // What it has is healed meanwhile.
  await world.edit(a, { "data.level": "by hand" });
  await world.until(async () => (await world.value(a, "data.level")) === "2");
  world.engine.take(newer, "");
  await world.engine.settled();
  expect(world.engine.order().generation).toBeGreaterThan(0n);
});
