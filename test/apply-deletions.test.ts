import { describe, expect, test } from "vitest";
import type { Delivery } from "#proto/desired-state.ts";
import { ApplicationPhase } from "#proto/gen/plumbline/agent/v1/agent.ts";
import type { KubeObject } from "#proto/object.ts";
import type { World } from "#test/drift-cases/world.ts";
import { deployment, give, isThere, ready, settings, statusOf, uidOf } from "./apply/objects.ts";
import { worldsOn } from "./apply/worlds.ts";

const plain = { enabled: true, budgetPercent: 20, protected: [] };

// What is ever deleted, and what never is.
describe.each(["simulated", "real"])("deletions on the %s API server", (which) => {
  const open = worldsOn(which, "delete");
  const run = (world: World, objects: KubeObject[], delivery: Partial<Delivery> = {}) =>
    world.documents.run("shop", objects, { timeoutMs: 60_000, ...delivery });
  const told = (world: World) =>
    (world.events("pruned") as { deleted: { name: string }[]; orphaned: { name: string }[] }[]).map((one) => ({
      deleted: one.deleted.map(({ name }) => name),
      orphaned: one.orphaned.map(({ name }) => name),
    }));
  /** Not there, or on its way out: Namespaces need a controller for the rest. */
  const isLeaving = async (world: World, object: KubeObject): Promise<boolean> => {
    const there = await world.person.get(world.address(object));
    return there === undefined || there.metadata.deletionTimestamp !== undefined;
  };
  const namespace = (world: World, name: string, annotations: Record<string, string> = {}): KubeObject => ({
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: `${world.namespace}-${name}`, annotations },
  });
  const allow = { "plumbline.dev/prune": "allow" };

  test.each(["prune", "Removal"] as const)(
    "a protected kind is deleted by a %s only if the object and the Application both say so",
    async (by) => {
      await using world = await open();
      const [both, alone] = [namespace(world, "both", allow), namespace(world, "alone")];
      const named: Partial<Delivery> = { prune: { ...plain, protected: ["Namespace"] } };
      const other = (policy: Partial<Delivery>, objects: KubeObject[]) =>
        world.documents.run("other", objects, { timeoutMs: 60_000, ...policy });
      const unnamed = namespace(world, "unnamed", allow);
      await world.take(
        run(world, [both, alone, settings(world, "a")], named),
        other({}, [unnamed, settings(world, "b")]),
      );
      await world.take(
        ...(by === "prune"
          ? [run(world, [settings(world, "a")], named), other({}, [settings(world, "b")])]
          : [world.documents.remove("shop", "delete"), world.documents.remove("other", "delete")]),
      );
      expect(await isLeaving(world, both)).toBe(true);
      expect(await isLeaving(world, alone)).toBe(false);
      expect(await isLeaving(world, unnamed)).toBe(false);
      const orphaned = told(world).flatMap((one) => one.orphaned);
      expect(orphaned.toSorted()).toEqual([alone.metadata.name, unnamed.metadata.name]);
    },
  );

  test("what is stuck on its way out without our label is asked for ever more rarely, and made again once it is gone", async () => {
    await using world = await open();
    const a = settings(world, "a");
    await world.take(run(world, [a]));
    const uid = await uidOf(world, a);
    await world.edit(a, { "metadata.finalizers": ["test.plumbline.dev/held"] });
    await world.delete(a);
    const asked = async (): Promise<number> => (await world.requests())["get configmaps"] ?? 0;
    const before = await asked();
    await world.edit(a, { "metadata.labels": {} });
    await world.until(async () => (await asked()) > before);
    for (let second = 0; second < 600; second += 1) {
      await world.clock.advance(1_000);
      await world.engine.settled();
    }
    expect((await asked()) - before).toBeLessThanOrEqual(40);
    await world.edit(a, { "metadata.finalizers": [] });
    await world.until(async () => {
      await world.clock.advance(1_000);
      return ![undefined, uid].includes(await uidOf(world, a));
    });
  });

  test.each([
    ["kustomize.toolkit.fluxcd.io/prune", "disabled"],
    ["plumbline.dev/prune", "never"],
    ["argocd.argoproj.io/sync-options", "Delete=false"],
    ["argocd.argoproj.io/sync-options", "Prune=confirm"],
    ["argocd.argoproj.io/sync-options", "Validate=false, Delete=confirm"],
  ])("what says %s: %s is let go", async (name, value) => {
    await using world = await open();
    const kept = settings(world, "kept", {}, { [name]: value });
    await world.take(run(world, [kept, settings(world, "a")]));
    await world.take(run(world, [settings(world, "a")]));
    expect(await isThere(world, kept)).toBe(true);
    expect(told(world)).toEqual([{ deleted: [], orphaned: ["kept"] }]);
  });

  test("with pruning off nothing that leaves Git is deleted, and that is said", async () => {
    await using world = await open();
    await world.take(run(world, [settings(world, "a"), settings(world, "b")]));
    await world.take(run(world, [settings(world, "a")], { prune: { ...plain, enabled: false } }));
    expect(await isThere(world, settings(world, "b"))).toBe(true);
    expect(statusOf(world)).toMatchObject({ phase: ApplicationPhase.APPLIED, objects: 2 });
    expect(statusOf(world).reason).toBe("pruning is off: what was removed in Git stays");
    await world.take(run(world, [settings(world, "a")]));
    expect(await isThere(world, settings(world, "b"))).toBe(false);
  });

  test("nothing is pruned for a revision of which something was refused, and what left Git goes when all of it runs", async () => {
    await using world = await open();
    const b = settings(world, "b");
    const theirs = settings(world, "theirs", { level: "theirs" });
    await world.take(run(world, [settings(world, "a"), b]));
    await world.person.create(theirs);
    await world.take(run(world, [settings(world, "a"), settings(world, "theirs", { level: "ours" })]));
    expect(statusOf(world)).toMatchObject({ phase: ApplicationPhase.FAILED, problems: [{ final: true }] });
    expect(await isThere(world, b)).toBe(true);
    await world.take(run(world, [settings(world, "a"), settings(world, "c")]));
    expect(statusOf(world)).toMatchObject({ phase: ApplicationPhase.APPLIED, objects: 2 });
    expect([await isThere(world, b), await isThere(world, theirs)]).toEqual([false, true]);
  });

  test("the budget is the Application's own", async () => {
    await using world = await open();
    const all = Array.from({ length: 24 }, (_, n) => settings(world, `c-${n}`));
    const half = all.slice(12);
    await world.take(run(world, all));
    await world.take(run(world, half));
    expect(statusOf(world).reason).toMatch(/^12 of 24 objects would be deleted, 10 are allowed/);
    expect(await isThere(world, all[0]!)).toBe(true);
    await world.take(run(world, half, { prune: { ...plain, budgetPercent: 50 } }));
    expect(await isThere(world, all[0]!)).toBe(false);
    expect(statusOf(world)).toMatchObject({ objects: 12, reason: "" });
  });

  test("what leaves Git goes once what runs is healthy, and after the timeout all the same, which is said", async () => {
    await using world = await open();
    const [b, c] = [settings(world, "b"), settings(world, "c")];
    const web = deployment(world, "web");
    await world.take(run(world, [b, c]));
    give(world, run(world, [web, c]));
    await world.until(() => isThere(world, web));
    await world.until(() => statusOf(world).current === 2);
    expect(await isThere(world, b)).toBe(true);
    await world.backend.writeStatus(web, ready);
    await world.until(async () => !(await isThere(world, b)));
    await world.until(() => statusOf(world).phase === ApplicationPhase.APPLIED);

    await world.backend.writeStatus(web, { ...ready, readyReplicas: 0, availableReplicas: 0 });
    await world.until(() => statusOf(world).current === 1);
    give(world, run(world, [web]));
    await world.until(async () => {
      await world.clock.advance(10_000);
      return !(await isThere(world, c));
    });
    await world.until(() => statusOf(world).phase === ApplicationPhase.APPLIED);
    expect(statusOf(world).reason).toBe("pruned although not everything was healthy within 60000 ms");
  });

  test.each(["held", "absent"])(
    "a prune that waits for health deletes nothing once its Application is %s",
    async (how) => {
      await using world = await open();
      const b = settings(world, "b");
      const web = deployment(world, "web");
      await world.take(run(world, [b]));
      give(world, run(world, [web]));
      const waits = /^its prune waits until \S+Z at the latest: Deployment \S+\/web is InProgress/;
      await world.until(() => waits.test(statusOf(world).reason));
      await world.take(
        ...(how === "held" ? [world.documents.hold("shop", "does not render")] : []),
        world.documents.run("other", [settings(world, "c")]),
      );
      await world.clock.advance(600_000);
      await world.engine.settled();
      expect(await isThere(world, b)).toBe(true);
      expect(told(world)).toEqual([]);
    },
  );

  test("what is being healed when it leaves Git is deleted after that, and does not come back", async () => {
    await using world = await open();
    const [a, b] = [settings(world, "a"), settings(world, "b", { level: "1" })];
    const [begun, goesOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let isHeal = false;
    await world.stop();
    world.wrapAgent((cluster) => ({
      async apply(...[object, options]: Parameters<typeof cluster.apply>) {
        if (isHeal && object.metadata.name === "b") {
          begun.resolve();
          await goesOn.promise;
        }
        return cluster.apply(object, options);
      },
    }));
    await world.start();
    await world.take(run(world, [a, b]));
    isHeal = true;
    await world.edit(b, { "data.level": "by hand" });
    await begun.promise;
    let looks = 0;
    give(world, run(world, [a]));
    // As long as a deletion that did not wait would take.
    await world.until(async () => (looks += 1) > 20 || !(await isThere(world, b)));
    goesOn.resolve();
    await world.until(() => statusOf(world).phase === ApplicationPhase.APPLIED && statusOf(world).objects === 1);
    await world.engine.settled();
    expect(await isThere(world, b)).toBe(false);
  });

  test("an object that somebody made anew under the name is not deleted in the place of ours", async () => {
    await using world = await open();
    const [a, b] = [settings(world, "a"), settings(world, "b")];
    await world.take(run(world, [a, b], { drift: "report" }));
    await world.stop();
    await world.delete(b);
    await world.person.create(settings(world, "b", { level: "theirs" }));
    const uid = await uidOf(world, b);
    await world.start();
    await world.engine.settled();
    await world.take(run(world, [a], { drift: "report" }));
    expect(await uidOf(world, b)).toBe(uid);
    expect(told(world)).toEqual([]);
    expect(statusOf(world).objects).toBe(1);
  });

  test("while the bundle of another Application is unknown nothing is pruned or removed: it may hold what would be", async () => {
    await using world = await open();
    const [a, b, c] = [settings(world, "a"), settings(world, "b"), settings(world, "c")];
    await world.take(run(world, [a, b]), world.documents.run("gone", [c]));
    const other = world.documents.run("other", [settings(world, "d")]);
    const slices = world.documents.blobs.get(other.address)!;
    world.documents.blobs.delete(other.address);
    give(world, run(world, [a]), world.documents.remove("gone", "delete"), other);
    await world.until(() => statusOf(world).reason.startsWith("nothing is pruned: the bundle of other is not known"));
    await world.until(() => statusOf(world, "gone").reason.startsWith("waits: the bundle of other is not known"));
    expect([await isThere(world, b), await isThere(world, c)]).toEqual([true, true]);
    world.documents.blobs.set(other.address, slices);
    await world.until(async () => {
      await world.clock.advance(1_000);
      return !(await isThere(world, b)) && !(await isThere(world, c));
    });
  });

  test.each(["held", "absent"])(
    "what an Application owns that is %s is not deleted by one that took it up and dropped it again",
    async (how) => {
      await using world = await open();
      const x = settings(world, "x");
      const held = how === "held" ? [world.documents.hold("shop", "does not render")] : [];
      await world.take(run(world, [x, settings(world, "a")]));
      const away = settings(world, "away");
      away.metadata.namespace = `${world.namespace}-later`;
      // It never comes to its end, so that both have the object in their inventories.
      give(world, ...held, world.documents.run("other", [x, away], { timeoutMs: 3_600_000 }));
      await world.until(() => statusOf(world, "other").problems.length > 0);
      await world.until(() => statusOf(world, "other").current === 1);
      give(world, ...held, world.documents.run("other", [settings(world, "y")]));
      await world.until(async () => {
        await world.clock.advance(1_000);
        return statusOf(world, "other").phase === ApplicationPhase.APPLIED;
      });
      expect(await isThere(world, x)).toBe(true);
      expect(told(world).flatMap(({ deleted }) => deleted)).not.toContain("x");
      expect(statusOf(world).objects).toBe(2);
    },
  );

  test("a claim is never deleted to be made anew, whatever its annotation says", async () => {
    await using world = await open();
    const claim = (storageClassName: string): KubeObject => ({
      apiVersion: "v1",
      kind: "PersistentVolumeClaim",
      metadata: { name: "data", namespace: world.namespace, annotations: { "plumbline.dev/recreate": "allow" } },
      spec: { storageClassName, accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
    });
    await world.take(run(world, [claim("slow")]));
    const uid = await uidOf(world, claim("slow"));
    await world.take(run(world, [claim("fast")]));
    expect(statusOf(world)).toMatchObject({ phase: ApplicationPhase.FAILED, problems: [{ final: true }] });
    expect(await uidOf(world, claim("slow"))).toBe(uid);
    expect(await isLeaving(world, claim("slow"))).toBe(false);
  });
});
