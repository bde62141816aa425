import { afterAll, beforeAll, expect, test } from "vitest";
import { configMap, deployment, namespace, service } from "#test/harness/manifests.ts";
import { clusterOf, startTrio, type Stage, type Trio } from "#test/harness/trio.ts";

let trio: Trio;
beforeAll(async () => {
  trio = await startTrio();
});
afterAll(() => trio?.[Symbol.asyncDispose]());

/** A namespace of the stage's own: staging and prod share an API server. */
const inside = (name: string, stage: Stage): string => `${name}-${stage}`;
const settings = (name: string, stage: Stage, data: Record<string, string>): string =>
  configMap("settings", data).replace("  name: settings", `  name: settings\n  namespace: ${inside(name, stage)}`);
const readSettings = async (stage: Stage, name: string) =>
  (await trio.get(stage, "v1", "ConfigMap", inside(name, stage), "settings"))?.["data"];
const stageFiles = (name: string, stage: Stage, data: Record<string, string>) => ({
  "namespace.yaml": namespace(inside(name, stage)),
  "settings.yaml": settings(name, stage, data),
});
const spentSince = (before: Record<string, number>, after: Record<string, number>): Record<string, number> =>
  Object.fromEntries(
    Object.entries(after)
      .map(([what, count]): [string, number] => [what, count - (before[what] ?? 0)])
      .filter(([, count]) => count > 0),
  );

test("J1 a Namespace, a Deployment and a Service that were pushed reach a cluster with nobody typing kubectl", async () => {
  await trio.deploy("seed", {
    dev: {
      "namespace.yaml": namespace("seed"),
      "web.yaml": `${deployment("web", "registry.example/web:1")}---\n${service("web")}`,
    },
  });
  const { world } = trio;
  await world.until("the Service", async () => (await trio.get("dev", "v1", "Service", "seed", "web")) !== undefined);
  await world.until(
    "the Deployment",
    async () => (await trio.get("dev", "apps/v1", "Deployment", "seed", "web")) !== undefined,
  );
  // What is counted next has no write of this one in it.
  await trio.applied("dev", "seed");
  expect((await trio.get("dev", "v1", "Namespace", "", "seed"))?.metadata.labels).toMatchObject({
    "plumbline.dev/agent": clusterOf("dev"),
  });
  const shown = await world.plumb("status");
  expect(shown.stdout).toMatch(/dev +seed/);
});

test("J2 a one-line commit costs one write on the changed object and three bookkeeping writes", async () => {
  await trio.deploy("line", { dev: stageFiles("line", "dev", { level: "info" }) });
  await trio.settled("dev", "line");
  const before = await trio.writes("dev");
  await trio.deploy("line", { dev: stageFiles("line", "dev", { level: "debug" }) });
  await trio.world.until(
    "the change",
    async () => ((await readSettings("dev", "line")) as { level?: string })?.level === "debug",
  );
  const revision = await trio.world.git.git("fleet", ["rev-parse", "main"]);
  await trio.settled("dev", "line", revision);
  expect(spentSince(before, await trio.writes("dev"))).toEqual({
    "patch configmaps": 1,
    "create secrets": 1,
    "update secrets": 2,
  });
});

test("J3 a hand edit, a deletion and a scale are healed and reported with field, tool and time", async () => {
  await trio.deploy("heal", {
    dev: {
      ...stageFiles("heal", "dev", { level: "info" }),
      "web.yaml": deployment("web", "registry.example/web:1").replace(
        "  name: web\n",
        `  name: web\n  namespace: ${inside("heal", "dev")}\n`,
      ),
    },
  });
  const place = inside("heal", "dev");
  const { world } = trio;
  await trio.applied("dev", "heal");
  const episodes = async () => (await world.drift()).filter(({ application }) => application === "heal");
  const healed = async (count: number): Promise<boolean> => {
    const told = await episodes();
    return told.length === count && told.every(({ state }) => state === "healed");
  };

  const edited = (await trio.get("dev", "v1", "ConfigMap", place, "settings"))!;
  await trio.people.dev.replace({ ...edited, data: { level: "debug" } });
  await world.until("the edit to be told", () => healed(1));
  const web = (await trio.get("dev", "apps/v1", "Deployment", place, "web"))!;
  await trio.people.dev.replace({ ...web, spec: { ...(web["spec"] as object), replicas: 9 } });
  await world.until("the scale to be told", () => healed(2));
  const gone = (await trio.get("dev", "v1", "ConfigMap", place, "settings"))!;
  await trio.people.dev.delete(
    { apiVersion: "v1", group: "", kind: "ConfigMap", namespace: place, name: "settings" },
    { uid: gone.metadata.uid! },
  );
  await world.until("the deletion to be told", () => healed(3));

  expect(await readSettings("dev", "heal")).toEqual({ level: "info" });
  expect(
    ((await trio.get("dev", "apps/v1", "Deployment", place, "web"))!["spec"] as { replicas: number }).replicas,
  ).toBe(2);
  const told = await episodes();
  for (const episode of told)
    expect(episode).toMatchObject({ cluster: "dev-1", state: "healed", healedInMs: expect.any(Number) as number });
  expect(told).toContainEqual(
    expect.objectContaining({
      fields: [{ path: "data.level", before: "info", after: "debug" }],
      tool: "kubectl-edit",
    }) as object,
  );
  expect(told).toContainEqual(
    expect.objectContaining({ fields: [{ path: "spec.replicas", before: "2", after: "9" }] }) as object,
  );
  expect(told).toContainEqual(
    expect.objectContaining({ kind: "deleted", object: `ConfigMap ${place}/settings` }) as object,
  );
});

test("J4 J5 a revision goes from dev to staging to prod as commits, gated by receipts, and a revert brings it back", async () => {
  const files = (level: string) => ({
    dev: stageFiles("walk", "dev", { level }),
    staging: stageFiles("walk", "staging", { level }),
    prod: stageFiles("walk", "prod", { level }),
  });
  const { world } = trio;
  const first = await trio.deploy("walk", files("one"));
  await trio.settled("dev", "walk", first);
  // Who names no revision asks for what is proved.
  await trio.proved("dev", "walk", first);
  await world.ask("promote", "staging", "walk", "--reason", "it works in dev");
  await trio.settled("staging", "walk", first);
  await trio.proved("staging", "walk", first);
  await world.ask("promote", "prod", "walk");
  await trio.settled("prod", "walk", first);

  const second = await trio.deploy("walk", files("two"));
  await trio.settled("dev", "walk", second);
  // Asked for before staging has it: the gate waits, and says for what.
  const early = await world.ask<{ commit: string }>("promote", "prod", "walk", second);
  await world.until(
    "the gate to say why",
    async () =>
      (await trio.row("prod", "walk"))?.reasons.some((reason) => reason.includes("waits for healthy receipts")) ===
      true,
  );
  expect(await readSettings("prod", "walk")).toEqual({ level: "one" });
  await world.ask("promote", "staging", "walk", second);
  await trio.settled("prod", "walk", second);
  expect(await readSettings("prod", "walk")).toEqual({ level: "two" });

  const message = await world.git.git("fleet", ["log", "-1", "--format=%B", early.commit]);
  expect(message).toContain("promote walk");
  expect(message).toContain("Plumbline-Actor: admin");
  const before = await world.git.git("fleet", ["show", `${early.commit}^:fleet/promotions/prod/walk.yaml`]);
  await world.git.commit(
    "fleet",
    "main",
    { "fleet/promotions/prod/walk.yaml": `${before}\n` },
    `Revert "promote walk"`,
  );
  await trio.settled("prod", "walk", first);
  expect(await readSettings("prod", "walk")).toEqual({ level: "one" });
  expect(await readSettings("staging", "walk")).toEqual({ level: "two" });
});

test("J8 a removed file prunes exactly its object; a typo, an emptied folder and a deleted Cluster file delete nothing and say why", async () => {
  const { world } = trio;
  const place = inside("keep", "dev");
  const extra = settings("keep", "dev", { a: "1" }).replace("name: settings", "name: extra");
  const others = Object.fromEntries(
    Array.from({ length: 12 }, (_, n) => [
      `c${n}.yaml`,
      settings("keep", "dev", {}).replace("name: settings", `name: c${n}`),
    ]),
  );
  await trio.deploy("keep", {
    dev: { ...stageFiles("keep", "dev", { level: "info" }), "extra.yaml": extra, ...others },
  });
  await trio.settled("dev", "keep");
  const pruned = await trio.deploy("keep", { dev: { "extra.yaml": null } });
  await world.until("the prune", async () => (await trio.get("dev", "v1", "ConfigMap", place, "extra")) === undefined);
  await trio.settled("dev", "keep", pruned);
  expect(await readSettings("dev", "keep")).toEqual({ level: "info" });

  const count = async (): Promise<number> => {
    const kind = (await trio.people.dev.kindOf("v1", "ConfigMap"))!;
    return (await trio.people.dev.list(kind, { namespace: place })).items.length;
  };
  const whole = await count();
  const writes = await trio.writes("dev");
  const deletions = async (): Promise<number> =>
    Object.entries(await trio.writes("dev")).reduce(
      (sum, [what, n]) => sum + (what.startsWith("delete") ? n - (writes[what] ?? 0) : 0),
      0,
    );

  // The label that selects the cluster is misspelt.
  const declared = await world.git.git("fleet", ["show", "main:fleet/clusters/dev-1.yaml"]);
  await world.git.commit(
    "fleet",
    "main",
    { "fleet/clusters/dev-1.yaml": `${declared.replace("env: dev", "env: dve")}\n` },
    "a typo",
  );
  await world.until(
    "the hub to say why",
    async () =>
      (await trio.row("dev", "keep"))?.reasons.some((reason) => reason.includes("no longer selected")) === true,
  );
  await world.git.commit("fleet", "main", { "fleet/clusters/dev-1.yaml": null }, "and then the file is gone");
  await world.until(
    "the cluster to be undeclared",
    async () => (await world.ask<{ state: string }>("cluster", "show", "dev-1")).state === "Undeclared",
  );
  expect([await count(), await deletions()]).toEqual([whole, 0]);
  await world.git.commit("fleet", "main", { "fleet/clusters/dev-1.yaml": `${declared}\n` }, "as it was");
  await trio.settled("dev", "keep");

  // The folder is emptied but for the namespace: more than the budget lets go.
  const emptied = Object.fromEntries(["settings.yaml", ...Object.keys(others)].map((name) => [name, null]));
  await trio.deploy("keep", { dev: emptied });
  await world.until(
    "the agent to say why",
    async () => (await trio.row("dev", "keep"))?.reasons.some((reason) => reason.includes("would be deleted")) === true,
  );
  expect(await count()).toBe(whole);
  // Everything is gone from the repository: nothing renders, so everything is held.
  await trio.deploy("keep", { dev: { "namespace.yaml": null } });
  await world.until(
    "the hub to hold it",
    async () =>
      (await trio.row("dev", "keep"))?.reasons.some((reason) => reason.includes("holds no manifest")) === true,
  );
  expect([await count(), await deletions()]).toEqual([whole, 0]);
});

test("J9 a bad manifest stops its own Application alone, and names file and line", async () => {
  const { world } = trio;
  await trio.deploy("good", { dev: stageFiles("good", "dev", { level: "one" }) });
  await trio.deploy("bad", { dev: stageFiles("bad", "dev", { level: "one" }) });
  await trio.settled("dev", "bad");
  await trio.deploy("bad", { dev: { "settings.yaml": `${settings("bad", "dev", { level: "two" })}  broken: [\n` } });
  const said = async () => (await trio.row("dev", "bad"))?.reasons.join() ?? "";
  await world.until("the hub to say where", async () => /apps\/bad\/dev\/settings\.yaml:\d+/.test(await said()));
  await trio.deploy("good", { dev: stageFiles("good", "dev", { level: "two" }) });
  await world.until(
    "the other to go on",
    async () => ((await readSettings("dev", "good")) as { level?: string })?.level === "two",
  );
  expect(await readSettings("dev", "bad")).toEqual({ level: "one" });
});

test("J14 a removal deletes exactly the inventory, with --orphan nothing, and a revoked cluster keeps what it runs", async () => {
  const { world } = trio;
  await trio.deploy("leave", {
    staging: stageFiles("leave", "staging", {}),
    dev: stageFiles("leave", "dev", { a: "1" }),
  });
  await trio.deploy("stay", { dev: stageFiles("stay", "dev", { b: "1" }) });
  await trio.settled("dev", "leave");
  await trio.settled("dev", "stay");
  await world.ask("remove", "leave", "--environment", "dev", "--reason", "not needed");
  await world.ask("remove", "stay", "--environment", "dev", "--orphan");
  await world.until("the removal", async () => (await readSettings("dev", "leave")) === undefined);
  await world.until("both to be told", async () => {
    const { events } = await world.ask<{ events: { what: string; application: string }[] }>("history");
    return ["leave", "stay"].every((name) =>
      events.some(({ what, application }) => what === "pruned" && application === name),
    );
  });
  // A Namespace is a protected kind: it takes others' objects with it.
  expect(await trio.get("dev", "v1", "Namespace", "", inside("leave", "dev"))).toBeDefined();
  expect(await readSettings("dev", "stay")).toEqual({ b: "1" });
});
