import { describe, expect, test } from "vitest";
import type { Cluster } from "#agent/cluster/cluster.ts";
import type { Delivery } from "#proto/desired-state.ts";
import { ApplicationPhase } from "#proto/gen/plumbline/agent/v1/agent.ts";
import type { KubeObject } from "#proto/object.ts";
import type { World } from "#test/drift-cases/world.ts";
import { settings, statusOf, uidOf } from "./apply/objects.ts";
import { worldsOn } from "./apply/worlds.ts";

// An object that no inventory of ours names: taken only as delivery.adopt says, and then as its former tool would have.
describe.each(["simulated", "real"])("first contact on the %s API server", (which) => {
  const open = worldsOn(which, "adopt");
  const take = (world: World, objects: KubeObject[], adopt: Delivery["adopt"]): Promise<void> =>
    world.take(world.documents.run("shop", objects, { adopt, timeoutMs: 60_000 }));
  const a = (world: World, data: Record<string, string>, annotations = {}) => settings(world, "a", data, annotations);
  const dataOf = async (world: World) => (await world.get(a(world, {})))["data"];
  const refusals = (world: World) =>
    (world.events("problem") as { reason: string; message: string }[]).map(
      ({ reason, message }) => `${reason}: ${message}`,
    );

  test("never: what is there is left alone, even if nothing would change", async () => {
    await using world = await open();
    const theirs = a(world, { level: "1" });
    await world.person.create({ ...theirs, metadata: { name: "a", namespace: world.namespace } });
    await take(world, [theirs], "never");
    expect(refusals(world)).toEqual(["AdoptionRefused: exists already, and delivery.adopt is never"]);
    expect((await world.get(a(world, {}))).metadata.labels).toBeUndefined();
    await take(world, [theirs], "ifEqual");
    expect(statusOf(world)).toMatchObject({ phase: ApplicationPhase.APPLIED, reason: "" });
    expect((await world.get(a(world, {}))).metadata.labels).toEqual(world.label);
  });

  test.each([
    ["Argo CD", "annotations", "argocd.argoproj.io/tracking-id"],
    ["Argo CD", "labels", "argocd.argoproj.io/instance"],
    ["Flux", "labels", "kustomize.toolkit.fluxcd.io/name"],
    ["Flux", "labels", "helm.toolkit.fluxcd.io/name"],
  ])(
    "what %s tracks by its %s (%s) is refused, even if nothing would change, and taken by take alone",
    async (...row) => {
      const [tool, place, name] = row;
      await using world = await open();
      const theirs = a(world, { level: "1" });
      await world.person.create({ ...theirs, metadata: { ...theirs.metadata, [place]: { [name]: "theirs" } } });
      await take(world, [a(world, { level: "1" })], "ifEqual");
      expect(refusals(world)).toEqual([
        `AdoptionRefused: is managed by ${tool}; remove it there first, or set delivery.adopt: take`,
      ]);
      await take(world, [a(world, { level: "1" })], "take");
      expect(statusOf(world).phase).toBe(ApplicationPhase.APPLIED);
    },
  );

  test("what the Plumbline agent of another cluster's name applies is refused: two agents on one cluster would fight for ever", async () => {
    await using world = await open();
    const theirs = a(world, { level: "theirs" });
    theirs.metadata.labels = { "plumbline.dev/agent": "eu-other" };
    await (await world.backend.as("plumbline")).apply(theirs);
    await take(world, [a(world, { level: "ours" })], "ifEqual");
    expect(refusals(world)).toEqual([
      "AdoptionRefused: is managed by the Plumbline agent of cluster eu-other; remove it there first, or set delivery.adopt: take",
    ]);
    expect(await dataOf(world)).toEqual({ level: "theirs" });
    await take(world, [a(world, { level: "ours" })], "take");
    expect(await dataOf(world)).toEqual({ level: "ours" });
  });

  test.each([
    "kubectl-client-side-apply",
    "before-first-apply",
    "kubectl",
    "argocd-controller",
    "kustomize-controller",
    "helm-controller",
    "helm",
    "Helm",
    "fleetagent",
  ])("take: what %s had, and Git does not name, goes", async (manager) => {
    await using world = await open();
    await (await world.backend.as(manager)).create(a(world, { level: "old", left: "x" }));
    await take(world, [a(world, { level: "new" })], "take");
    expect(statusOf(world).phase).toBe(ApplicationPhase.APPLIED);
    expect(await dataOf(world)).toEqual({ level: "new" });
  });

  test("take: what anybody else had stays theirs", async () => {
    await using world = await open();
    await (await world.backend.as("an-operator")).create(a(world, { level: "old", left: "x" }));
    await take(world, [a(world, { level: "new" })], "take");
    expect(await dataOf(world)).toEqual({ level: "new", left: "x" });
  });

  test("take: what somebody writes between the look and the takeover is not written over", async () => {
    await using world = await open();
    await (await world.backend.as("helm")).create(a(world, { level: "old" }));
    let isFirst = true;
    await world.stop();
    world.wrapAgent((cluster) => ({
      async replace(...[object, signal]: Parameters<Cluster["replace"]>) {
        if (object.kind !== "ConfigMap" || !isFirst) return cluster.replace(object, signal);
        isFirst = false;
        await world.edit(a(world, {}), { "data.theirs": "kept" }, "an-operator");
        return cluster.replace(object, signal);
      },
    }));
    await world.start();
    world.engine.take(
      world.documents.sign(world.documents.run("shop", [a(world, { level: "new" })], { adopt: "take" })),
      "",
    );
    await world.until(async () => {
      await world.clock.advance(1_000);
      return statusOf(world).phase === ApplicationPhase.APPLIED;
    });
    expect(await dataOf(world)).toEqual({ level: "new", theirs: "kept" });
  });

  test("what was taken over and cannot be changed is not deleted to be made anew: it was never ours", async () => {
    await using world = await open();
    await world.person.create({ ...a(world, { level: "theirs" }), immutable: true });
    const uid = await uidOf(world, a(world, {}));
    const ours = { ...a(world, { level: "ours" }, { "plumbline.dev/recreate": "allow" }), immutable: true };
    await take(world, [ours], "take");
    expect(statusOf(world).phase).toBe(ApplicationPhase.FAILED);
    expect(await uidOf(world, a(world, {}))).toBe(uid);
    expect(await dataOf(world)).toEqual({ level: "theirs" });
  });
});
