import { describe, expect, test } from "vitest";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { ApiError } from "#agent/cluster/errors.ts";
import type { Delivery, Entry } from "#proto/desired-state.ts";
import { ApplicationPhase, DriftKind, DriftState, Health } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { applicationName } from "#proto/ids.ts";
import type { Json, KubeObject } from "#proto/object.ts";
import type { World } from "#test/drift-cases/world.ts";
import { deployment, finish, give, isThere, job, ready, settings, statusOf, uidOf } from "./apply/objects.ts";
import { worldsOn } from "./apply/worlds.ts";

const once = { "plumbline.dev/apply": "once" };

describe.each(["simulated", "real"])("rules of applying on the %s API server", (which) => {
  const open = worldsOn(which, "apply");
  const run = (world: World, name: string, objects: KubeObject[], delivery: Partial<Delivery> = {}): Entry =>
    world.documents.run(name, objects, { timeoutMs: 60_000, ...delivery });
  const after = (...names: string[]): Partial<Delivery> => ({ dependsOn: names.map(applicationName) });
  const level = (world: World, name: string) => world.value(settings(world, name), "data.level");

  test("what is created once is made where it is absent, never changed, and made again when it is deleted", async () => {
    await using world = await open();
    const secret = (level: string): KubeObject => settings(world, "password", { level }, once);
    await world.take(run(world, "shop", [secret("first"), settings(world, "a")]));
    expect(statusOf(world)).toMatchObject({ phase: ApplicationPhase.APPLIED, objects: 2, current: 2 });
    // Another content is no other bundle.
    const [one, two] = [run(world, "shop", [secret("first")]), run(world, "shop", [secret("second")])];
    expect(one.kind === "run" && two.kind === "run" && one.digest === two.digest).toBe(true);
    await world.take(run(world, "shop", [secret("second"), settings(world, "a", { level: "2" })]));
    expect(await level(world, "a")).toBe("2");
    expect(await level(world, "password")).toBe("first");

    const edited = await world.edit(secret(""), { "data.level": "by hand" });
    await world.until(() => world.hasJudged(edited));
    await world.engine.settled();
    expect(await level(world, "password")).toBe("by hand");
    const uid = await uidOf(world, secret(""));
    await world.delete(secret(""));
    await world.until(async () => ![undefined, uid].includes(await uidOf(world, secret(""))));
    expect(await level(world, "password")).toBe("second");
    await world.until(() => world.events("notice").length > 0);
    expect(world.drifts()).toEqual([]);
  });

  test("what could not be made again, because it was forbidden, is made with the next bundle, though nothing of it changed", async () => {
    await using world = await open();
    let isForbidden = false;
    world.wrapAgent((cluster) => ({
      async apply(...[object, options]: Parameters<Cluster["apply"]>) {
        if (isForbidden) throw new ApiError(403, { reason: "Forbidden", message: "this user may not patch it" });
        return cluster.apply(object, options);
      },
    }));
    await world.stop();
    await world.start();
    const [password, plain] = [settings(world, "password", {}, once), settings(world, "plain")];
    await world.take(run(world, "shop", [password, plain, settings(world, "a")]));
    isForbidden = true;
    await Promise.all([world.delete(password), world.delete(plain)]);
    // Neither is there, and nobody says that all is well.
    await world.until(async () => {
      await world.engine.settled();
      return statusOf(world).current === 1;
    });
    expect(statusOf(world).health).toBe(Health.NOT_FOUND);
    isForbidden = false;
    await world.clock.advance(3_600_000);
    await world.engine.settled();
    expect(await isThere(world, plain)).toBe(false);

    await world.take(run(world, "shop", [password, plain, settings(world, "a", { level: "2" })]));
    await world.until(async () => (await isThere(world, plain)) && (await isThere(world, password)));
    await world.engine.settled();
    expect(statusOf(world)).toMatchObject({ objects: 3, current: 3, drifted: 0 });
  });

  test("while healing is frozen drift is only told, and healed by itself when the freeze ends, or by the document that ends it", async () => {
    await using world = await open();
    const a = settings(world, "a", { level: "info" });
    const frozen = (untilMs: number | null): Entry => run(world, "shop", [a], { healingFrozen: { untilMs } });
    const writes = async (): Promise<number> => (await world.requests())["patch configmaps"] ?? 0;
    const later = async (ms: number): Promise<void> => {
      await world.clock.advance(ms);
      await world.engine.settled();
    };
    await world.take(frozen(world.clock.now() + 60_000));
    const before = await writes();
    await world.edit(a, { "data.level": "by hand" });
    await world.until(() => world.drifts().length > 0);
    await later(59_999);
    expect(world.drifts()).toMatchObject([{ state: DriftState.SEEN, fields: [{ path: "data.level" }] }]);
    expect([await level(world, "a"), await writes()]).toEqual(["by hand", before]);
    await later(1);
    await world.until(() => world.drifts().length > 1);
    expect(world.drifts()[1]).toMatchObject({ state: DriftState.HEALED });
    expect(await level(world, "a")).toBe("info");

    await world.take(frozen(null));
    await world.delete(a);
    await world.until(() => world.drifts().length > 2);
    await later(24 * 3_600_000);
    expect(world.drifts()[2]).toMatchObject({ state: DriftState.SEEN, kind: DriftKind.DELETED });
    expect(await isThere(world, a)).toBe(false);
    await world.take(run(world, "shop", [a]));
    await world.until(() => isThere(world, a));
  });

  test("what is created once is let go when it leaves Git, and deleted by a Removal", async () => {
    await using world = await open();
    const [a, b] = [settings(world, "a", {}, once), settings(world, "b", {}, once)];
    await world.take(run(world, "shop", [a, b, settings(world, "c")]));
    await world.take(run(world, "shop", [b, settings(world, "c")]));
    expect(await isThere(world, a)).toBe(true);
    expect(world.events("pruned")).toMatchObject([{ deleted: [], orphaned: [{ name: "a" }] }]);
    await world.take(world.documents.remove("shop", "delete"));
    expect(await isThere(world, a)).toBe(true);
    expect(await isThere(world, b)).toBe(false);
  });

  test("what somebody else made under the name of what is created once stays as it is, also at a Removal", async () => {
    await using world = await open();
    await world.person.create(settings(world, "a", { level: "theirs" }));
    await world.take(run(world, "shop", [settings(world, "a", { level: "ours" }, once)]));
    expect(statusOf(world)).toMatchObject({ phase: ApplicationPhase.APPLIED, health: Health.CURRENT, objects: 1 });
    expect((await world.get(settings(world, "a"))).metadata.labels).toBeUndefined();
    await world.stop();
    await world.start();
    await world.engine.settled();
    expect(statusOf(world)).toMatchObject({ health: Health.CURRENT });
    await world.take(world.documents.remove("shop", "delete"));
    expect(await level(world, "a")).toBe("theirs");
  });

  test("an object that was created once and is then like any other is brought to what Git says", async () => {
    await using world = await open();
    await world.take(run(world, "shop", [settings(world, "a", { level: "1" }, once)]));
    await world.take(run(world, "shop", [settings(world, "a", { level: "2" })]));
    expect(await level(world, "a")).toBe("2");
    await world.take(run(world, "shop", [settings(world, "a", { level: "3" }, once)]));
    expect(await level(world, "a")).toBe("2");
  });

  test("a Job is done for its digest once it is Complete, and not when it failed", async () => {
    await using world = await open();
    const of = (image: string) => job(world, "migrate", {}, image);
    const uid = () => uidOf(world, of(""));
    /** Waits for another one than that. */
    const anew = async (before: string | undefined): Promise<void> =>
      world.until(async () => ![undefined, before].includes(await uid()));
    const toEnd = async (object: KubeObject, outcome: "succeeded" | "failed"): Promise<void> => {
      await finish(world, object, outcome);
      const there = await world.get(object);
      await world.until(() => world.hasJudged(there));
    };
    await world.take(run(world, "shop", [of("app:1")]));
    const failed = await uid();
    await toEnd(of("app:1"), "failed");
    await world.delete(of("app:1"));
    await anew(failed);
    await toEnd(of("app:1"), "succeeded");
    await world.delete(of("app:1"));
    await world.until(async () => (await uid()) === undefined);
    await world.clock.advance(600_000);
    await world.engine.settled();
    expect(await uid()).toBeUndefined();
    expect(statusOf(world)).toMatchObject({ health: Health.CURRENT, drifted: 0 });

    // Another digest runs it again, and that run is not done yet.
    await world.take(run(world, "shop", [of("app:2")]));
    const second = await uid();
    expect(second).toBeDefined();
    await world.delete(of("app:2"));
    await anew(second);
  });

  test("a Job that is Complete and cleaned away before the answer to its apply came is done, and well", async () => {
    await using world = await open();
    await world.stop();
    const migrate = job(world, "migrate", {});
    let isAwaited = false;
    world.wrapAgent((cluster) => ({
      async apply(...asked: Parameters<Cluster["apply"]>) {
        const answer = await cluster.apply(...asked);
        if (answer.kind !== "Job" || !isAwaited) return answer;
        isAwaited = false;
        await finish(world, answer, "succeeded");
        await world.delete(migrate);
        await world.until(() => world.hasHeardOfDeletion(migrate));
        return answer;
      },
    }));
    await world.start();
    // Watched already: what is heard of the Job waits for the answer.
    await world.take(run(world, "first", [job(world, "first", {})]));
    isAwaited = true;
    await world.take(run(world, "first", [job(world, "first", {})]), run(world, "shop", [migrate]));
    expect(await uidOf(world, migrate)).toBeUndefined();
    expect(statusOf(world)).toMatchObject({ health: Health.CURRENT, current: 1, drifted: 0 });
    expect(world.drifts()).toEqual([]);
  });

  test("an Application is applied when those that it depends on are healthy here, and says until then what it waits for", async () => {
    await using world = await open();
    const shop = (level: string): Entry => run(world, "shop", [settings(world, "a", { level })], after("db"));
    const db = (image: string): Entry => {
      const web = deployment(world, "db");
      web.metadata.labels = { image };
      return run(world, "db", [web]);
    };
    await world.take(shop("1"));
    expect(statusOf(world)).toMatchObject({
      phase: ApplicationPhase.HELD,
      reason: "waits for db, which is not delivered to this cluster",
    });
    await world.take(shop("1"), db("1"));
    expect(statusOf(world).reason).toMatch(/^waits for db, which is InProgress/);
    expect(await isThere(world, settings(world, "a"))).toBe(false);
    await world.backend.writeStatus(deployment(world, "db"), ready);
    await world.until(() => isThere(world, settings(world, "a")));
    await world.until(() => statusOf(world).phase === ApplicationPhase.APPLIED);

    // It waits for the newer digest too, and what runs is kept as it was meanwhile.
    await world.backend.writeStatus(deployment(world, "db"), { ...ready, readyReplicas: 0, availableReplicas: 0 });
    await world.until(() => statusOf(world, "db").health !== Health.CURRENT);
    await world.take(shop("2"), db("2"));
    expect(statusOf(world).reason).toMatch(/^waits for db/);
    await world.edit(settings(world, "a"), { "data.level": "by hand" });
    await world.until(async () => (await level(world, "a")) === "1");
    await world.backend.writeStatus(deployment(world, "db"), ready);
    await world.until(async () => (await level(world, "a")) === "2");
  });

  test("a new revision of both goes to what is needed first, though that runs well already; what runs does not wait again", async () => {
    await using world = await open();
    const written: string[] = [];
    await world.stop();
    world.wrapAgent((cluster) => ({
      async apply(...[object, options]: Parameters<Cluster["apply"]>) {
        const answer = await cluster.apply(object, options);
        if (object.kind === "ConfigMap") written.push(object.metadata.name);
        return answer;
      },
    }));
    await world.start();
    const shop = (text: string) => run(world, "shop", [settings(world, "a", { level: text })], after("db"));
    const web = deployment(world, "db");
    const db = (text: string) => run(world, "db", [settings(world, "b", { level: text }), web]);
    give(world, shop("1"), db("1"));
    await world.until(() => isThere(world, web));
    await world.backend.writeStatus(web, ready);
    await world.until(async () => (await level(world, "a").catch(() => undefined)) === "1");
    await world.until(() => statusOf(world).phase === ApplicationPhase.APPLIED);
    await world.take(shop("2"), db("2"));
    await world.until(async () => (await level(world, "a")) === "2");
    expect(written).toEqual(["b", "a", "b", "a"]);

    await world.backend.writeStatus(web, { ...ready, readyReplicas: 0, availableReplicas: 0 });
    await world.until(() => statusOf(world, "db").health !== Health.CURRENT);
    await world.take(shop("2"), db("2"));
    expect(statusOf(world)).toMatchObject({ phase: ApplicationPhase.APPLIED, reason: "" });
  });

  test("two Applications that wait for each other only say so", async () => {
    await using world = await open();
    await world.take(
      run(world, "one", [settings(world, "a")], after("two")),
      run(world, "two", [settings(world, "b")], after("one")),
    );
    expect(statusOf(world, "one").reason).toBe("waits for two, which is Held");
    expect(await isThere(world, settings(world, "a"))).toBe(false);
  });

  test("what is removed together goes in the reverse order", async () => {
    await using world = await open();
    await world.take(run(world, "db", [settings(world, "b")]));
    await world.take(run(world, "db", [settings(world, "b")]), run(world, "shop", [settings(world, "a")], after("db")));
    await world.until(() => statusOf(world).phase === ApplicationPhase.APPLIED);
    const held = {
      ...settings(world, "a"),
      metadata: { name: "a", namespace: world.namespace, finalizers: ["test/held"] },
    };
    await world.edit(held, { "metadata.finalizers": ["test.plumbline.dev/held"] });
    await world.take(world.documents.remove("db", "delete"), world.documents.remove("shop", "delete"));
    await world.until(() => statusOf(world, "db").phase === ApplicationPhase.REMOVED);
    const gone = world.events("pruned") as { deleted: { name: string }[] }[];
    expect(gone.flatMap(({ deleted }) => deleted.map(({ name }) => name))).toEqual(["a", "b"]);
    await world.edit(held, { "metadata.finalizers": undefined });
  });

  test("and so does what needs another only by way of a third", async () => {
    await using world = await open();
    const db = run(world, "db", [settings(world, "b")]);
    const web = run(world, "web", [settings(world, "w")], after("db"));
    const shop = run(world, "shop", [settings(world, "a")], after("web"));
    await world.take(db, web, shop);
    await world.until(() => statusOf(world).phase === ApplicationPhase.APPLIED);
    await world.take(world.documents.remove("db", "delete"), web, world.documents.remove("shop", "delete"));
    await world.until(() => statusOf(world, "db").phase === ApplicationPhase.REMOVED);
    const gone = world.events("pruned") as { deleted: { name: string }[] }[];
    expect(gone.flatMap(({ deleted }) => deleted.map(({ name }) => name))).toEqual(["a", "b"]);
  });

  test("when a cluster's limits were narrowed, what lies outside is neither healed nor deleted, and is let go and said", async () => {
    await using world = await open();
    const secret = (name: string): KubeObject => ({ ...settings(world, name, { level: "MQ==" }), kind: "Secret" });
    const [a, b, c, stays] = [secret("a"), secret("b"), secret("c"), settings(world, "stays", { level: "1" })];
    await world.take(run(world, "shop", [a, b, stays]), run(world, "rest", [c]));
    await world.stop();
    const limits = { kinds: ["ConfigMap"], namespaces: "any" } as const;
    world.allowAgent({ profile: "admin", limits, defaultServiceAccount: "" });
    await world.start();
    await world.engine.settled();
    expect(statusOf(world).phase).toBe(ApplicationPhase.BLOCKED);
    await world.edit(a, { "data.level": "Mg==" });
    await world.until(() => world.drifts().some(({ object }) => object?.name === "a"));
    // Of an allowed kind: it is healed as it was, though the bundle is blocked.
    await world.edit(stays, { "data.level": "by hand" });
    await world.until(async () => (await level(world, "stays")) === "1");
    await world.engine.settled();
    expect(await world.value(a, "data.level")).toBe("Mg==");

    await world.take(run(world, "shop", [stays]), world.documents.remove("rest", "delete"));
    expect(statusOf(world).phase).toBe(ApplicationPhase.APPLIED);
    expect(statusOf(world, "rest").phase).toBe(ApplicationPhase.REMOVED);
    for (const object of [a, b, c]) expect((await world.get(object)).metadata.deletionTimestamp).toBeUndefined();
    const told = world.events("pruned") as { deleted: { name: string }[]; orphaned: { name: string }[] }[];
    expect(told.flatMap(({ deleted }) => deleted)).toEqual([]);
    expect(told.flatMap(({ orphaned }) => orphaned.map(({ name }) => name)).sort()).toEqual(["a", "b", "c"]);
  });

  test("an object that says it is kept is let go, and said so, whatever is removed", async () => {
    await using world = await open();
    const keep = settings(world, "keep", {}, { "helm.sh/resource-policy": "keep" });
    const argo = settings(world, "argo", {}, { "argocd.argoproj.io/sync-options": "Validate=false,Prune=false" });
    await world.take(run(world, "shop", [keep, argo, settings(world, "a"), settings(world, "b")]));
    await world.take(run(world, "shop", [keep, settings(world, "b")]));
    expect(await isThere(world, argo)).toBe(true);
    expect(await isThere(world, settings(world, "a"))).toBe(false);
    expect(world.events("pruned")).toMatchObject([{ deleted: [{ name: "a" }], orphaned: [{ name: "argo" }] }]);
    await world.take(world.documents.remove("shop", "delete"));
    expect(await isThere(world, keep)).toBe(true);
    expect(await isThere(world, settings(world, "b"))).toBe(false);
  });

  test("what cannot be changed is made anew only where the object itself allows it, and only if the server would take it", async () => {
    await using world = await open();
    const fixed = (level: string, more: Record<string, Json> = {}, annotations = {}): KubeObject => ({
      ...settings(world, "fixed", { level }, annotations),
      immutable: true,
      ...more,
    });
    const allow = { "plumbline.dev/recreate": "allow" };
    await world.take(run(world, "shop", [fixed("1")]));
    const uid = await uidOf(world, fixed("1"));
    await world.take(run(world, "shop", [fixed("2")]));
    expect(statusOf(world)).toMatchObject({ phase: ApplicationPhase.FAILED });
    expect(await uidOf(world, fixed("1"))).toBe(uid);
    // An object that would be refused as a new one too is not given up for it.
    const invalid = fixed("2", { data: { "no key!": "2" } }, allow);
    if (which === "real") await world.take(run(world, "shop", [invalid]));
    expect(statusOf(world)).toMatchObject({ phase: ApplicationPhase.FAILED });
    expect(await uidOf(world, fixed("1"))).toBe(uid);
    await world.take(run(world, "shop", [fixed("2", {}, allow)]));
    await world.until(() => statusOf(world).phase === ApplicationPhase.APPLIED);
    expect(await level(world, "fixed")).toBe("2");
    expect(await uidOf(world, fixed("1"))).not.toBe(uid);
    expect(world.drifts()).toEqual([]);
  });

  test("a wave is not begun while something of the one before was refused", async () => {
    await using world = await open();
    await world.person.create(settings(world, "theirs", { level: "theirs" }));
    const later = settings(world, "later", {}, { "plumbline.dev/wave": "1" });
    await world.take(
      run(world, "shop", [settings(world, "theirs", { level: "ours" }), settings(world, "same"), later]),
    );
    expect(statusOf(world)).toMatchObject({ phase: ApplicationPhase.FAILED });
    expect(await isThere(world, settings(world, "same"))).toBe(true);
    expect(await isThere(world, later)).toBe(false);
  });

  test("what is tried again says when, object by object; what passed in the end leaves no word of it behind", async () => {
    await using world = await open();
    const away = settings(world, "away");
    away.metadata.namespace = `${world.namespace}-later`;
    give(world, run(world, "shop", [away, settings(world, "here")], { timeoutMs: 3_600_000 }));
    await world.until(() => (statusOf(world).problems[0]?.nextTryAtMs ?? 0n) > BigInt(world.clock.now()));
    expect(statusOf(world)).toMatchObject({
      phase: ApplicationPhase.APPLYING,
      problems: [{ object: { name: "away" }, reason: "NotFound", final: false }],
    });
    await world.until(async () => {
      await world.clock.advance(100);
      return statusOf(world).reason.startsWith(`ConfigMap ${world.namespace}-later/away: `);
    });
    await world.person.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: `${world.namespace}-later` } });
    await world.until(async () => {
      await world.clock.advance(1_000);
      return statusOf(world).phase === ApplicationPhase.APPLIED;
    });
    expect(statusOf(world)).toMatchObject({ reason: "", problems: [], nextTryAtMs: 0n });
  });

  test("a wave waits for what of the one before is tried again, however long; past the timeout that is a failed apply, which goes on", async () => {
    await using world = await open();
    const away = settings(world, "away");
    away.metadata.namespace = `${world.namespace}-later`;
    const next = settings(world, "next", {}, { "plumbline.dev/wave": "1" });
    const cry = settings(world, "cry", {}, { "plumbline.dev/hook": "fail" });
    const soon = world.clock.now() + 30_000;
    give(world, run(world, "shop", [away, next, cry]));
    const inTime: ApplicationPhase[] = [];
    await world.until(async () => {
      if (world.clock.now() < soon) inTime.push(statusOf(world).phase);
      await world.clock.advance(2_000);
      return statusOf(world).phase === ApplicationPhase.FAILED && (await isThere(world, cry));
    });
    expect(inTime).not.toContain(ApplicationPhase.FAILED);
    expect(await isThere(world, next)).toBe(false);
    // For hours, and a minute between two tries at the most.
    await world.clock.advance(3_600_000);
    await world.until(() => (statusOf(world).problems[0]?.nextTryAtMs ?? 0n) > BigInt(world.clock.now()));
    expect(Number(statusOf(world).problems[0]!.nextTryAtMs) - world.clock.now()).toBeLessThanOrEqual(60_000);
    await world.person.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: `${world.namespace}-later` } });
    await world.until(async () => {
      await world.clock.advance(1_000);
      return statusOf(world).phase === ApplicationPhase.APPLIED;
    });
    expect(await isThere(world, next)).toBe(true);
  });

  test.each([
    { retryAfter: "7", waitMs: 7_000 },
    { retryAfter: "3600", waitMs: 60_000 },
  ])("what the server asks to be tried in $retryAfter s is tried after $waitMs ms", async ({ retryAfter, waitMs }) => {
    await using world = await open();
    const asked: number[] = [];
    await world.stop();
    world.wrapAgent((cluster) => ({
      async apply(...[object, options]: Parameters<Cluster["apply"]>) {
        if (object.kind !== "ConfigMap") return cluster.apply(object, options);
        asked.push(world.clock.now());
        if (asked.length > 1) return cluster.apply(object, options);
        throw new ApiError(503, { reason: "ServiceUnavailable", message: "not now" }, retryAfter);
      },
    }));
    await world.start();
    give(world, run(world, "shop", [settings(world, "a")]));
    await world.until(() => (statusOf(world).problems[0]?.nextTryAtMs ?? 0n) > 0n);
    expect(Number(statusOf(world).problems[0]!.nextTryAtMs) - asked[0]!).toBe(waitMs);
    await world.clock.advance(waitMs - 1);
    expect(asked).toHaveLength(1);
    await world.until(async () => {
      await world.clock.advance(1);
      return statusOf(world).phase === ApplicationPhase.APPLIED;
    });
  });

  test("a revision that meets an object on its way out is not applied before that is gone", async () => {
    await using world = await open();
    const a = (text: string): KubeObject => settings(world, "a", { level: text });
    await world.take(run(world, "shop", [a("1")]));
    await world.edit(a("1"), { "metadata.finalizers": ["test.plumbline.dev/held"] });
    await world.delete(a("1"));
    const uid = await uidOf(world, a("1"));
    give(world, run(world, "shop", [a("2")], { timeoutMs: 3_600_000 }));
    await world.until(() => statusOf(world).problems.length > 0);
    expect(statusOf(world).problems).toMatchObject([{ reason: "Terminating", final: false }]);
    expect(statusOf(world).phase).toBe(ApplicationPhase.APPLYING);
    await world.edit(a("1"), { "metadata.finalizers": [] });
    await world.until(async () => {
      await world.clock.advance(1_000);
      return statusOf(world).phase === ApplicationPhase.APPLIED;
    });
    expect(await uidOf(world, a("1"))).not.toBe(uid);
    expect(await level(world, "a")).toBe("2");
  });

  test("a bundle of a kind that nobody serves yet says when it is tried again", async () => {
    await using world = await open();
    const thing: KubeObject = {
      apiVersion: "nobody.example.com/v1",
      kind: "Thing",
      metadata: { name: "t", namespace: world.namespace },
    };
    give(world, run(world, "shop", [thing]));
    await world.until(() => statusOf(world).phase === ApplicationPhase.FAILED);
    const now = BigInt(world.clock.now());
    const { nextTryAtMs, problems } = statusOf(world);
    expect(Number(nextTryAtMs - now)).toBeGreaterThan(0);
    expect(Number(nextTryAtMs - now)).toBeLessThanOrEqual(60_000);
    expect(problems).toMatchObject([{ reason: "UnknownKind", final: false, nextTryAtMs }]);
  });

  test("while a wave waits it says for what, and until when", async () => {
    await using world = await open();
    const [web, db] = [deployment(world, "web"), deployment(world, "db")];
    const next = settings(world, "next", {}, { "plumbline.dev/wave": "1" });
    give(world, run(world, "shop", [web, db, next]));
    const until = new Date(world.clock.now() + 60_000).toISOString();
    const waits = (name: string): string =>
      `its next wave waits until ${until} at the latest: Deployment ${world.namespace}/${name} is InProgress`;
    await world.until(() => statusOf(world).reason.startsWith(waits("db")));
    expect(statusOf(world)).toMatchObject({ phase: ApplicationPhase.APPLYING, health: Health.IN_PROGRESS });
    await world.backend.writeStatus(db, ready);
    await world.until(() => statusOf(world).reason.startsWith(waits("web")));
    expect(await isThere(world, next)).toBe(false);
    await world.backend.writeStatus(web, ready);
    await world.until(() => statusOf(world).phase === ApplicationPhase.APPLIED);
    expect(statusOf(world)).toMatchObject({ reason: "", health: Health.CURRENT });
  });

  test("a wave waits for all of the one before, and goes on after the timeout, saying so", async () => {
    await using world = await open();
    const web = deployment(world, "web");
    const late: KubeObject = {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingWebhookConfiguration",
      metadata: { name: world.namespace },
      webhooks: [],
    };
    const next = settings(world, "next", {}, { "argocd.argoproj.io/sync-wave": "1" });
    give(world, run(world, "shop", [web, late, next]));
    await world.until(() => isThere(world, late));
    await world.until(() => isThere(world, web));
    expect(await isThere(world, next)).toBe(false);
    await world.until(async () => {
      await world.clock.advance(10_000);
      return isThere(world, next);
    });
    await world.until(() => statusOf(world).phase === ApplicationPhase.APPLIED);
    expect(statusOf(world).reason).toMatch(/^the next wave was begun although Deployment .* after 60 s$/);
    await world.take(world.documents.remove("shop", "delete"));
  });
});
