import { expect, test } from "vitest";
import { ApiError, UnknownKind } from "#agent/cluster/errors.ts";
import type { Owned } from "#agent/state/head.ts";
import type { KubeObject } from "#proto/object.ts";
import { DeletionBreaker } from "./breaker.ts";
import { failureOf } from "./failure.ts";
import { stagesOf } from "./order.ts";
import { isPruneAllowed, planPrune, type PruneInputs } from "./prune.ts";

const object = (apiVersion: string, kind: string, name: string, wave?: string): KubeObject => ({
  apiVersion,
  kind,
  metadata: { name, ...(wave === undefined ? {} : { annotations: { "plumbline.dev/wave": wave } }) },
});
const owned = (apiVersion = "v1"): Owned => ({ apiVersion, uid: "u", applied: "", baseline: null });
const inventoryOf = (...keys: string[]) => new Map(keys.map((key) => [key, owned()]));
const configMaps = (count: number) => Array.from({ length: count }, (_, n) => `/ConfigMap/shop/c${n}`);
const plan = (inputs: Partial<PruneInputs>) =>
  planPrune({
    inventory: new Map(),
    wanted: new Set(),
    wantedElsewhere: new Set(),
    ownedElsewhere: new Set(),
    budget: { percent: 20, allowPrune: "" },
    ...inputs,
  });

test("applies definitions, then namespaces, then waves, each in the order of kinds", () => {
  const stages = stagesOf([
    object("apps/v1", "Deployment", "web"),
    object("v1", "Namespace", "shop"),
    object("v1", "ConfigMap", "late", "5"),
    object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "widgets.x.io"),
    object("v1", "Service", "web"),
    object("batch/v1", "Job", "migrate", "-1"),
  ]);
  expect(stages.map(({ objects, after }) => [objects.map(({ metadata }) => metadata.name).join(), after])).toEqual([
    ["widgets.x.io", "waitEstablished"],
    ["shop", "goOn"],
    ["migrate", "waitHealthy"],
    ["web", "goOn"],
    ["web", "waitHealthy"],
    ["late", "goOn"],
  ]);
});

test("prunes what is in the inventory and not in the bundle, custom objects before their definition, namespaces last", () => {
  const inventory = new Map([
    ["/Namespace//shop", owned()],
    ["apiextensions.k8s.io/CustomResourceDefinition//widgets.x.io", owned("apiextensions.k8s.io/v1")],
    ["x.io/Widget/shop/a", owned("x.io/v1")],
    ["/ConfigMap/shop/settings", owned()],
    ["/Service/shop/kept", owned()],
  ]);
  const pruned = plan({ inventory, wanted: new Set(["/Service/shop/kept"]) });
  expect(pruned.kind === "prune" && pruned.candidates.map(({ key }) => key)).toEqual([
    "x.io/Widget/shop/a",
    "/ConfigMap/shop/settings",
    "apiextensions.k8s.io/CustomResourceDefinition//widgets.x.io",
    "/Namespace//shop",
  ]);
});

test("never deletes an object that moved to another Application", () => {
  const inventory = inventoryOf("/ConfigMap/shop/a", "/ConfigMap/shop/b");
  // Wanted there, not applied there yet: it stays in this inventory, or nobody would own it for a while.
  const early = plan({ inventory, wantedElsewhere: new Set(["/ConfigMap/shop/a"]) });
  expect(early).toMatchObject({ kind: "prune", moved: [], candidates: [{ key: "/ConfigMap/shop/b" }] });
  const moved = plan({ inventory, ownedElsewhere: new Set(["/ConfigMap/shop/a"]) });
  expect(moved).toMatchObject({
    kind: "prune",
    moved: ["/ConfigMap/shop/a"],
    candidates: [{ key: "/ConfigMap/shop/b" }],
  });
});

test("an emptied bundle is over budget, until Git allows exactly this plan", () => {
  const inventory = inventoryOf(...configMaps(11));
  const blocked = plan({ inventory });
  expect(blocked).toMatchObject({ kind: "blocked", because: expect.stringContaining("11 of 11") as string });
  const planHash = blocked.kind === "blocked" ? blocked.planHash : "";
  expect(plan({ inventory, budget: { percent: 20, allowPrune: planHash } }).kind).toBe("prune");
  const grown = inventoryOf(...configMaps(12));
  expect(plan({ inventory: grown, budget: { percent: 20, allowPrune: planHash } }).kind).toBe("blocked");
  expect(plan({ inventory: inventoryOf(...configMaps(10)) }).kind).toBe("prune");
  expect(plan({ inventory, budget: "none" }).kind).toBe("prune");
});

test("a generated name that only changed its suffix costs no budget", () => {
  const old = Array.from({ length: 15 }, (_, n) => `/ConfigMap/shop/settings${n}-7f9c2b4d5h`);
  const renewed = old.map((key) => key.replace("7f9c2b4d5h", "2m4b2c6d4k"));
  const pruned = plan({ inventory: inventoryOf(...old, ...renewed), wanted: new Set(renewed) });
  expect(pruned).toMatchObject({ kind: "prune", candidates: { length: 15 } });
});

test("a generated name whose like is no more wanted costs the budget", () => {
  const old = Array.from({ length: 15 }, (_, n) => `/ConfigMap/shop/settings${n}-7f9c2b4d5h`);
  const other = "/ConfigMap/shop/other-2m4b2c6d4k";
  expect(plan({ inventory: inventoryOf(...old, other), wanted: new Set([other]) }).kind).toBe("blocked");
});

test.each([
  [20, 20, "prune"],
  [21, 20, "blocked"],
  [21, 30, "prune"],
  [31, 30, "blocked"],
])("%i of 100 objects at %i %%: %s", (leaving, percent, kind) => {
  const all = configMaps(100);
  const inputs = { inventory: inventoryOf(...all), wanted: new Set(all.slice(leaving)) };
  expect(plan({ ...inputs, budget: { percent, allowPrune: "" } }).kind).toBe(kind);
});

test("an object with two waves goes by ours", () => {
  const both = object("v1", "ConfigMap", "both", "2");
  both.metadata.annotations = { ...both.metadata.annotations, "argocd.argoproj.io/sync-wave": "-7" };
  const stages = stagesOf([both, object("v1", "ConfigMap", "one", "1")]);
  expect(stages.map(({ objects }) => objects.map(({ metadata }) => metadata.name).join())).toEqual(["one", "both"]);
});

test("a protected kind needs the object's own word and the Application's", () => {
  const namespace = { group: "", kind: "Namespace", namespace: "", name: "shop" };
  const allow = { "plumbline.dev/prune": "allow" };
  expect(isPruneAllowed(namespace, allow, ["Namespace"])).toBe(true);
  expect(isPruneAllowed(namespace, allow, [])).toBe(false);
  expect(isPruneAllowed(namespace, {}, ["Namespace"])).toBe(false);
  expect(isPruneAllowed({ ...namespace, kind: "ConfigMap" }, undefined, [])).toBe(true);
});

test.each([
  { group: "", kind: "Namespace" },
  { group: "apiextensions.k8s.io", kind: "CustomResourceDefinition" },
  { group: "", kind: "PersistentVolumeClaim" },
  { group: "", kind: "PersistentVolume" },
  { group: "apps", kind: "StatefulSet" },
])("a $kind is never pruned by itself", ({ group, kind }) => {
  const ref = { group, kind, namespace: "shop", name: "x" };
  expect(isPruneAllowed(ref, undefined, [])).toBe(false);
  expect(isPruneAllowed(ref, { "plumbline.dev/prune": "allow" }, [kind])).toBe(true);
  // Of another group by the same name.
  expect(isPruneAllowed({ ...ref, group: "example.com" }, undefined, [])).toBe(true);
});

test("deletes no more than its limit in any hour, and says when there is room again", () => {
  let now = 0;
  const breaker = new DeletionBreaker(2, () => now);
  expect(breaker.take()).toBe(true);
  expect(breaker.roomInMs()).toBe(0);
  now = 1_000;
  expect([breaker.take(), breaker.take()]).toEqual([true, false]);
  expect(breaker.roomInMs()).toBe(3_599_000);
  now += 3_598_999;
  expect(breaker.take()).toBe(false);
  now += 1;
  expect(breaker.roomInMs()).toBe(0);
  expect([breaker.take(), breaker.take()]).toEqual([true, false]);
  expect(breaker.roomInMs()).toBe(1_000);
});

test.each([
  [422, "Deployment is invalid", true],
  [400, "strict decoding error: unknown field", true],
  [403, "cannot patch resource configmaps", true],
  [403, "unable to create new content in namespace shop because it is being terminated", false],
  [403, "exceeded quota: q", false],
  [500, "failed to create typed patch object: duplicate entries for key", true],
  [500, "failed calling webhook", false],
  [409, "conflict", false],
  [429, "too many requests", false],
])("%i %s: final %s", (status, message, final) => {
  expect(failureOf(new ApiError(status, { message }))).toMatchObject({ final });
});

test("a kind that its server does not serve just now is tried again", () => {
  expect(failureOf(new UnknownKind("the API server does not serve it"))).toMatchObject({
    final: false,
    reason: "UnknownKind",
  });
});

test("of a message that quotes a whole object only the beginning is passed on", () => {
  const message = `Secret "a" is invalid: ${"x".repeat(100_000)}`;
  expect(failureOf(new Error(message)).message).toHaveLength(1_000);
  const shown = failureOf(new ApiError(422, { message })).message;
  expect(message.startsWith(shown)).toBe(true);
  expect(shown.length).toBe(1_000);
});

test("an outcome that is not known is tried again", () => {
  expect(failureOf(new Error("socket hang up"))).toMatchObject({ final: false, reason: "OutcomeUnknown" });
});
