import { describe, expect, test } from "vitest";
import type { Cluster } from "#agent/cluster/cluster.ts";
import type { Entry } from "#proto/desired-state.ts";
import { ApplicationPhase } from "#proto/gen/plumbline/agent/v1/agent.ts";
import type { KubeObject } from "#proto/object.ts";
import type { World } from "#test/drift-cases/world.ts";
import { deployment, finish, give, isThere, job, pod, ready, settings, statusOf, uidOf } from "./apply/objects.ts";
import { worldsOn } from "./apply/worlds.ts";

const helm = (phases: string, more: Record<string, string> = {}): Record<string, string> => ({
  "helm.sh/hook": phases,
  ...more,
});

describe.each(["simulated", "real"])("hooks on the %s API server", (which) => {
  const open = worldsOn(which, "hooks");
  const shop = (world: World, ...objects: KubeObject[]): Entry =>
    world.documents.run("shop", objects, { timeoutMs: 60_000 });
  const isRunning = (world: World, object: KubeObject) =>
    world.until(async () => (await isThere(world, object)) && statusOf(world).reason.startsWith("runs"));
  const isApplied = (world: World) =>
    world.until(() => statusOf(world).phase === ApplicationPhase.APPLIED && statusOf(world).digest.length > 0);

  test("a hook before an apply ends before anything is applied, and runs once for each digest", async () => {
    await using world = await open();
    const migrate = job(world, "migrate", helm("pre-install,pre-upgrade"));
    give(world, shop(world, migrate, settings(world, "a")));
    await isRunning(world, migrate);
    expect(statusOf(world)).toMatchObject({
      phase: ApplicationPhase.APPLYING,
      reason: `runs the pre hook Job ${world.namespace}/migrate`,
    });
    expect(await isThere(world, settings(world, "a"))).toBe(false);
    await finish(world, migrate, "succeeded");
    await isApplied(world);
    expect(await isThere(world, settings(world, "a"))).toBe(true);
    // No part of what is owned: one object, no drift when it goes.
    expect(statusOf(world).objects).toBe(1);
    const uid = await uidOf(world, migrate);

    // The same digest under another policy runs it no more.
    await world.take(world.documents.run("shop", [migrate, settings(world, "a")], { timeoutMs: 50_000 }));
    expect(await uidOf(world, migrate)).toBe(uid);

    give(world, shop(world, migrate, settings(world, "a", { level: "2" })));
    await world.until(async () => ![undefined, uid].includes(await uidOf(world, migrate)));
    await finish(world, migrate, "succeeded");
    await world.until(async () => (await world.value(settings(world, "a"), "data.level")) === "2");
    await world.engine.settled();
    await world.delete(migrate);
    await world.engine.settled();
    expect(world.drifts()).toEqual([]);
    expect(await isThere(world, migrate)).toBe(false);
  });

  test("a hook whose kind could not be watched at first is watched a moment later, and its end is seen at once", async () => {
    await using world = await open();
    await world.stop();
    let isAway = true;
    world.wrapAgent((cluster) => ({
      servedKind(...[apiVersion, kind, signal]: Parameters<Cluster["servedKind"]>) {
        const isRefused = isAway && kind === "Job";
        return isRefused ? Promise.reject(new Error("socket hang up")) : cluster.servedKind(apiVersion, kind, signal);
      },
    }));
    await world.start();
    const migrate = job(world, "migrate", helm("pre-install"));
    give(world, shop(world, migrate, settings(world, "a")));
    await isRunning(world, migrate);
    isAway = false;
    await world.clock.advance(1_000);
    await finish(world, migrate, "succeeded");
    await isApplied(world);
  });

  test("Helm's hooks of an install run where nothing was, those of an upgrade where something is", async () => {
    await using world = await open();
    const install = settings(world, "on-install", {}, helm("pre-install"));
    const upgrade = settings(world, "on-upgrade", {}, helm("post-upgrade"));
    await world.take(shop(world, install, upgrade, settings(world, "a")));
    expect(await isThere(world, install)).toBe(true);
    expect(await isThere(world, upgrade)).toBe(false);
    await world.delete(install);
    await world.take(shop(world, install, upgrade, settings(world, "a", { level: "2" })));
    expect(await isThere(world, install)).toBe(false);
    expect(await isThere(world, upgrade)).toBe(true);
  });

  test("hooks of a phase run by weight, one after the other", async () => {
    await using world = await open();
    const first = pod(world, "first", helm("pre-install", { "helm.sh/hook-weight": "-1" }));
    const second = pod(world, "a-second", helm("pre-install"));
    give(world, shop(world, second, first, settings(world, "a")));
    await isRunning(world, first);
    expect(await isThere(world, second)).toBe(false);
    await finish(world, first, "succeeded");
    await world.until(() => isThere(world, second));
    expect(await isThere(world, settings(world, "a"))).toBe(false);
    await finish(world, second, "succeeded");
    await isApplied(world);
  });

  test("a hook that failed stops the apply; what ran is healed meanwhile; it is tried again when its Job is deleted", async () => {
    await using world = await open();
    await world.take(shop(world, settings(world, "a", { level: "1" })));
    const migrate = job(world, "migrate", { "argocd.argoproj.io/hook": "PreSync" });
    const cry = settings(world, "cry", {}, { "plumbline.dev/hook": "fail" });
    give(world, shop(world, migrate, cry, settings(world, "a", { level: "2" })));
    await isRunning(world, migrate);
    await finish(world, migrate, "failed");
    await world.until(() => statusOf(world).phase === ApplicationPhase.FAILED);
    await world.engine.settled();
    expect(statusOf(world).reason).toMatch(/^the pre hook Job shop-[-a-z0-9]+\/migrate failed: BackoffLimitExceeded/);
    expect(world.events("problem")).toMatchObject([{ object: { name: "migrate" }, reason: "HookFailed", final: true }]);
    expect(await isThere(world, cry)).toBe(true);
    await world.edit(settings(world, "a"), { "data.level": "by hand" });
    await world.until(async () => (await world.value(settings(world, "a"), "data.level")) === "1");

    // Another document does not run it again.
    const uid = await uidOf(world, migrate);
    await world.stop();
    await world.start();
    await world.engine.settled();
    expect(await uidOf(world, migrate)).toBe(uid);
    expect(statusOf(world).phase).toBe(ApplicationPhase.FAILED);
    await world.delete(migrate);
    await world.until(async () => ![undefined, uid].includes(await uidOf(world, migrate)));
    await finish(world, migrate, "succeeded");
    await world.until(async () => (await world.value(settings(world, "a"), "data.level")) === "2");
    await isApplied(world);
  });

  test("a hook that does not end within the timeout has failed, and is done if it ends all the same", async () => {
    await using world = await open();
    const migrate = pod(world, "migrate", { "plumbline.dev/hook": "pre" });
    give(world, shop(world, migrate, settings(world, "a")));
    await isRunning(world, migrate);
    await world.until(async () => {
      await world.clock.advance(10_000);
      return statusOf(world).phase === ApplicationPhase.FAILED;
    });
    expect(statusOf(world).reason).toContain("did not end within the Application's timeout");
    await finish(world, migrate, "succeeded");
    await isApplied(world);
  });

  test("a hook after an apply waits for health, and no receipt is given before it ended", async () => {
    await using world = await open();
    const check = pod(world, "check", { "argocd.argoproj.io/hook": "PostSync" });
    give(world, shop(world, check, deployment(world, "web")));
    await world.until(() => statusOf(world).reason.startsWith("its post hooks wait for health: Deployment"));
    expect(await isThere(world, check)).toBe(false);
    await world.backend.writeStatus(deployment(world, "web"), ready);
    await isRunning(world, check);
    expect(world.events("receipt")).toEqual([]);
    await finish(world, check, "succeeded");
    await isApplied(world);
    await world.until(() => world.events("receipt").length === 1);
  });

  test("delete policies: what succeeded goes when its phase is over, what failed goes at once", async () => {
    await using world = await open();
    const passing = helm("pre-install", {
      "helm.sh/hook-delete-policy": "hook-succeeded",
      "helm.sh/hook-weight": "-1",
    });
    const script = settings(world, "script", {}, passing);
    const failing = helm("pre-install", { "helm.sh/hook-delete-policy": "before-hook-creation,hook-failed" });
    const migrate = pod(world, "migrate", failing);
    give(world, shop(world, script, migrate, settings(world, "a")));
    await isRunning(world, migrate);
    // The Pod may need it.
    expect(await isThere(world, script)).toBe(true);
    await finish(world, migrate, "failed");
    await world.until(() => statusOf(world).phase === ApplicationPhase.FAILED);
    await world.engine.settled();
    expect(await isThere(world, script)).toBe(false);
    expect(await uidOf(world, migrate)).toBeUndefined();
    await world.engine.settled();
    expect(await isThere(world, migrate)).toBe(false);
  });

  test("what a hook made and holds data is never deleted: by no policy, for no newer run, by no Removal", async () => {
    await using world = await open();
    const policy = helm("pre-install,pre-upgrade", {
      "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded",
    });
    const claim: KubeObject = {
      apiVersion: "v1",
      kind: "PersistentVolumeClaim",
      metadata: { name: "backup", namespace: world.namespace, annotations: policy },
      spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
    };
    const isKept = async (): Promise<boolean> => {
      const there = await world.person.get(world.address(claim));
      return there !== undefined && there.metadata.deletionTimestamp === undefined;
    };
    await world.take(shop(world, claim, settings(world, "a")));
    expect(await isKept()).toBe(true);
    await world.take(shop(world, claim, settings(world, "a", { level: "2" })));
    expect(await isKept()).toBe(true);
    await world.take(shop(world, settings(world, "a", { level: "3" })));
    expect(statusOf(world).phase).toBe(ApplicationPhase.APPLIED);
    expect(await isKept()).toBe(true);
  });

  test("what a hook makes is made anew for each digest, or changed where its policy does not say so", async () => {
    await using world = await open();
    const anew = (text: string) => settings(world, "anew", { level: text }, helm("pre-install,pre-upgrade"));
    const changed = (text: string) =>
      settings(
        world,
        "changed",
        { level: text },
        helm("pre-install,pre-upgrade", { "helm.sh/hook-delete-policy": "hook-failed" }),
      );
    await world.take(shop(world, anew("1"), changed("1"), settings(world, "a", { level: "1" })));
    const before = [await uidOf(world, anew("")), await uidOf(world, changed(""))];
    await world.take(shop(world, anew("2"), changed("2"), settings(world, "a", { level: "2" })));
    await isApplied(world);
    const since = [await uidOf(world, anew("")), await uidOf(world, changed(""))];
    expect(since[0]).not.toBe(before[0]);
    expect(since[1]).toBe(before[1]);
    expect(await world.value(changed(""), "data.level")).toBe("2");
  });

  test("what a hook left and says of itself that it is kept stays when the hook is no more", async () => {
    await using world = await open();
    const kept = settings(world, "kept", {}, helm("pre-install", { "helm.sh/resource-policy": "keep" }));
    await world.take(shop(world, kept, settings(world, "a")));
    await world.take(shop(world, settings(world, "a")));
    await world.take(world.documents.remove("shop", "delete"));
    expect(await isThere(world, kept)).toBe(true);
    expect(await isThere(world, settings(world, "a"))).toBe(false);
  });

  test("an agent that ends while a hook runs goes on waiting for that very run", async () => {
    await using world = await open();
    const first = pod(world, "first", helm("pre-install", { "helm.sh/hook-weight": "-1" }));
    const second = pod(world, "second", helm("pre-install"));
    give(world, shop(world, first, second, settings(world, "a")));
    await isRunning(world, first);
    await finish(world, first, "succeeded");
    await isRunning(world, second);
    const uids = [await uidOf(world, first), await uidOf(world, second)];
    await world.stop();
    await finish(world, second, "succeeded");
    await world.start();
    await isApplied(world);
    expect([await uidOf(world, first), await uidOf(world, second)]).toEqual(uids);
  });

  test("a hook that has ended before the answer to its making came is done, and so is the one that takes its place", async () => {
    await using world = await open();
    await world.stop();
    world.wrapAgent((cluster) => ({
      async apply(...asked: Parameters<Cluster["apply"]>) {
        const answer = await cluster.apply(...asked);
        if (answer.kind !== "Pod") return answer;
        await finish(world, answer, "succeeded");
        const ended = await world.get(answer);
        await world.until(() => world.hasJudged(ended));
        return answer;
      },
    }));
    await world.start();
    // Its clock stands: nothing is looked for by name.
    const migrate = pod(world, "migrate", helm("pre-install,pre-upgrade"));
    await world.take(shop(world, migrate, settings(world, "a", { level: "1" })));
    const uid = await uidOf(world, migrate);
    await world.take(shop(world, migrate, settings(world, "a", { level: "2" })));
    expect(await world.value(settings(world, "a"), "data.level")).toBe("2");
    expect(await uidOf(world, migrate)).not.toBe(uid);
  });

  test("an object of somebody else under a hook's name is neither deleted nor overwritten", async () => {
    await using world = await open();
    const theirs = pod(world, "migrate", {});
    await world.person.create({ ...theirs, metadata: { ...theirs.metadata, labels: world.label } });
    const uid = await uidOf(world, theirs);
    await world.take(shop(world, pod(world, "migrate", helm("pre-install")), settings(world, "a")));
    expect(statusOf(world)).toMatchObject({ phase: ApplicationPhase.FAILED });
    expect(statusOf(world).reason).toContain("it exists already, and no hook of shop made it");
    expect(await uidOf(world, theirs)).toBe(uid);
    expect(await isThere(world, settings(world, "a"))).toBe(false);
  });

  test("hooks of a Removal run around its deletions and never before, and what hooks left goes with it", async () => {
    await using world = await open();
    const setUp = settings(world, "set-up", {}, helm("pre-install"));
    const before = pod(world, "before", helm("pre-delete"));
    const after = pod(world, "after", helm("post-delete"));
    await world.take(shop(world, setUp, before, after, settings(world, "a")));
    expect(await isThere(world, before)).toBe(false);
    expect(await isThere(world, after)).toBe(false);
    give(world, world.documents.remove("shop", "delete"));
    await world.until(() => isThere(world, before));
    expect(await isThere(world, settings(world, "a"))).toBe(true);
    await finish(world, before, "succeeded");
    await world.until(() => isThere(world, after));
    expect(await isThere(world, settings(world, "a"))).toBe(false);
    await finish(world, after, "succeeded");
    await world.until(() => statusOf(world).phase === ApplicationPhase.REMOVED);
    await world.until(async () => !(await isThere(world, setUp)) && !(await isThere(world, after)));
  });

  test("a failed hook stops a Removal, and one that lets go runs none", async () => {
    await using world = await open();
    const before = pod(world, "before", helm("pre-delete"));
    await world.take(shop(world, before, settings(world, "a")));
    give(world, world.documents.remove("shop", "delete"));
    await world.until(() => isThere(world, before));
    await finish(world, before, "failed");
    await world.until(() => statusOf(world).phase === ApplicationPhase.FAILED);
    expect(statusOf(world).reason).toContain("nothing more is deleted: the delete hook Pod");
    expect(await isThere(world, settings(world, "a"))).toBe(true);
    await world.take(world.documents.remove("shop", "orphan"));
    expect(statusOf(world).phase).toBe(ApplicationPhase.REMOVED);
    expect(await isThere(world, settings(world, "a"))).toBe(true);
  });

  test("a delete hook whose failed Pod went by its own policy is tried again by the next start, and the Removal ends", async () => {
    await using world = await open();
    const policy = { "helm.sh/hook-delete-policy": "hook-failed" };
    const before = pod(world, "before", helm("pre-delete", policy));
    await world.take(shop(world, before, settings(world, "a")));
    give(world, world.documents.remove("shop", "delete"));
    await world.until(() => isThere(world, before));
    await finish(world, before, "failed");
    await world.until(() => statusOf(world).phase === ApplicationPhase.FAILED);
    await world.until(async () => !(await isThere(world, before)));
    await world.stop();
    await world.start();
    await world.until(() => isThere(world, before));
    await finish(world, before, "succeeded");
    await world.until(() => statusOf(world).phase === ApplicationPhase.REMOVED);
    expect(await isThere(world, settings(world, "a"))).toBe(false);
  });

  test("a hook that is another Application's hook, or its object, is refused, naming both", async () => {
    await using world = await open();
    const script = settings(world, "script", {}, helm("pre-install"));
    const of = (name: string, ...objects: KubeObject[]) => world.documents.run(name, objects, { timeoutMs: 60_000 });
    await world.take(shop(world, script, settings(world, "a")));
    await world.take(
      shop(world, script, settings(world, "a")),
      of("same-hook", script, settings(world, "b")),
      of("its-object", settings(world, "script"), settings(world, "c")),
      of("hook-of-an-object", settings(world, "a", {}, helm("pre-install")), settings(world, "d")),
    );
    for (const [name, object] of [
      ["same-hook", "script"],
      ["its-object", "script"],
      ["hook-of-an-object", "a"],
    ] as const)
      expect(statusOf(world, name)).toMatchObject({
        phase: ApplicationPhase.BLOCKED,
        reason: `ConfigMap ${world.namespace}/${object} is also in shop: an object belongs to one Application`,
      });
    expect(statusOf(world).phase).toBe(ApplicationPhase.APPLIED);
  });

  test("what a hook left is deleted when the hook is no more in Git, and nothing of others", async () => {
    await using world = await open();
    const script = settings(world, "script", {}, helm("pre-install,pre-upgrade"));
    await world.take(shop(world, script, settings(world, "a")));
    expect(await isThere(world, script)).toBe(true);
    await world.take(shop(world, settings(world, "a")));
    expect(await isThere(world, script)).toBe(false);
    expect(world.events("pruned")).toMatchObject([{ deleted: [{ name: "script" }] }]);
  });

  test("what a hook left and a hook of another Application has made its own since is not deleted", async () => {
    await using world = await open();
    const script = settings(world, "script", {}, helm("pre-install"));
    await world.take(shop(world, script, settings(world, "a")));
    const other = world.documents.run("other", [script, settings(world, "b")], { timeoutMs: 60_000 });
    await world.take(world.documents.hold("shop", "does not render"), other);
    await world.take(shop(world, settings(world, "a")), other);
    expect(statusOf(world).phase).toBe(ApplicationPhase.APPLIED);
    expect(await isThere(world, script)).toBe(true);
    expect(world.events("pruned")).toEqual([]);
  });

  test("an object that becomes a hook leaves the inventory and is not pruned", async () => {
    await using world = await open();
    await world.take(shop(world, settings(world, "script"), settings(world, "a")));
    await world.take(shop(world, settings(world, "script", {}, helm("post-upgrade")), settings(world, "a")));
    expect(statusOf(world)).toMatchObject({ phase: ApplicationPhase.APPLIED, objects: 1 });
    expect(await isThere(world, settings(world, "script"))).toBe(true);
    expect(world.events("pruned")).toEqual([]);
  });
});
