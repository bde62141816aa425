import { describe, expect, test } from "vitest";
import { declaredInputs, deliveryOf } from "#hub/fleet/decide-inputs.ts";
import { filesOf, wholeFleet, written } from "#hub/fleet/fleet-fixture.ts";
import { keepLastGood } from "#hub/fleet/last-good.ts";
import { readFleet } from "#hub/fleet/read.ts";
import { applicationName, clusterId, environmentName } from "#proto/ids.ts";

const staging = environmentName("staging");
const prod = environmentName("prod");
const podinfo = applicationName("podinfo");
const eu = clusterId("eu-1");
const read = (texts: Readonly<Record<string, string>>) => readFleet(filesOf(texts)).fleet;
const gatesOf = (texts: Readonly<Record<string, string>>, name = staging): readonly string[] =>
  declaredInputs(read(texts)).environments.get(name)!.closedGates;
const unreadableFor = (texts: Readonly<Record<string, string>>, name = staging): readonly string[] =>
  declaredInputs(read(texts)).environments.get(name)!.unreadable;

test("a decision gets what it needs of the fleet", () => {
  const inputs = declaredInputs(read(wholeFleet));
  expect([...inputs.clusters.keys()]).toEqual(["eu-1", "s-1"]);
  expect(inputs.environments.get(staging)).toEqual({
    clusters: { matchLabels: { env: "staging" } },
    revisions: { follow: "main" },
    soakMs: 0,
    signatures: "off",
    closedGates: [],
    unreadable: [],
  });
  expect(inputs.environments.get(prod)).toMatchObject({ soakMs: 1_800_000, signatures: "head" });
  expect(inputs.applications.get(podinfo)?.environments).toEqual(["staging", "prod"]);
  expect(inputs.promotions).toMatchObject([{ environment: "prod", application: "podinfo", revision: "1".repeat(40) }]);
  expect(inputs.removals).toMatchObject([{ application: "long-gone", scope: { cluster: "eu-1" }, mode: "orphan" }]);
  expect(inputs.freezes).toMatchObject([{ name: "holidays", environments: ["prod"], clusters: [], healing: false }]);
});

test("a broken Environment is none of a decision's environments, while a Removal there is still one of its Removals", () => {
  const removal = written(
    "Removal",
    "go",
    "spec: {application: podinfo, environment: prod, mode: delete, reason: x}\n",
  );
  const inputs = declaredInputs(read({ "prod.yaml": written("Environment", "prod", "spec: {}\n"), "x.yaml": removal }));
  expect(inputs.environments.size).toBe(0);
  expect(inputs.removals).toMatchObject([{ application: "podinfo", scope: { environment: "prod" } }]);
});

describe("closes each gate that a decision cannot judge", () => {
  test("each has a sentence", () => {
    expect(gatesOf(wholeFleet, prod)).toEqual([
      "approvals (1 by group:release) cannot be given yet",
      "windows are not kept yet",
      "3 waves cannot be opened one by one yet",
      "onFailure: rollback is not done yet",
    ]);
  });

  test.each([
    ["rollout: {waves: [{percent: 100}]}", []],
    ["rollout: {waves: [{percent: 100, soak: 5m}]}", ["the soak of a wave is not kept yet"]],
    ["rollout: {waves: [{percent: 1}, {percent: 100}]}", ["2 waves cannot be opened one by one yet"]],
    ["gates: {soak: 5m}", []],
  ])("%s", (field, gates) => {
    const spec = `spec: {clusters: {matchLabels: {}}, revisions: {follow: main}, ${field}}\n`;
    expect(gatesOf({ "a.yaml": written("Environment", "staging", spec) })).toEqual(gates);
  });
});

describe("names what cannot be read and may speak of an environment", () => {
  test("a Freeze that cannot be read may freeze anything", () => {
    expect(unreadableFor({ ...wholeFleet, "x.yaml": written("Freeze", "x", "spec: {until: tomorrow}\n") })).toEqual([
      "Freeze at x.yaml:1 cannot be read",
    ]);
  });

  test("a Promotion that cannot be read stops its own environment", () => {
    const promotion = written("Promotion", "x", "spec: {environment: prod, application: podinfo, revision: v2}\n");
    const texts = { ...wholeFleet, "x.yaml": promotion };
    expect(unreadableFor(texts)).toEqual([]);
    expect(unreadableFor(texts, prod)).toEqual(["Promotion at x.yaml:1 cannot be read"]);
  });
});

describe("delivery", () => {
  test("is the Application's, with the exceptions that cover the target", () => {
    const fleet = read(wholeFleet);
    const exception = {
      object: "Deployment podinfo/web",
      fields: ["spec.replicas"],
      untilMs: Date.UTC(2026, 2, 1, 18),
      reason: "incident 4412",
    };
    expect(deliveryOf(fleet, { application: podinfo, environment: prod }, eu)).toEqual({
      drift: "correct",
      strict: false,
      adopt: "ifEqual",
      serviceAccount: "",
      timeoutMs: 120_000,
      prune: { enabled: true, budgetPercent: 50, protected: ["PersistentVolumeClaim"] },
      allowPrune: "",
      exceptions: [exception],
      soakMarksMs: [],
      dependsOn: [],
      healingFrozen: null,
    });
    expect(deliveryOf(fleet, { application: podinfo, environment: staging }, eu).exceptions).toEqual([]);
    expect(deliveryOf(fleet, { application: applicationName("web"), environment: prod }, eu)).toMatchObject({
      exceptions: [],
      dependsOn: ["podinfo"],
    });
  });

  test("does not change when files are moved, so nothing is published for it", () => {
    const exception = (name: string): string =>
      written(
        "DriftException",
        name,
        `spec: {application: podinfo, cluster: eu-1, object: Service ${name}, fields: [a]}\n`,
      );
    const key = { application: podinfo, environment: prod };
    const one = read({ ...wholeFleet, "x.yaml": exception("x"), "y.yaml": exception("y") });
    const other = read({ ...wholeFleet, "2.yaml": exception("x"), "1.yaml": exception("y") });
    expect(deliveryOf(one, key, eu)).toEqual(deliveryOf(other, key, eu));
    expect(deliveryOf(one, key, eu).exceptions).toHaveLength(3);
  });
});

describe("keeps the last good document", () => {
  const earlier = read(wholeFleet);
  const broken = (file: string, from: string, to: string): Record<string, string> => ({
    ...wholeFleet,
    [file]: wholeFleet[file]!.replace(from, to),
  });

  test("of a kind and name that are known", () => {
    const fleet = read(broken("fleet/requests.yaml", "healing: false", "heal: false"));
    expect(fleet.freezes.size).toBe(0);
    const kept = keepLastGood(fleet, earlier);
    expect(kept.freezes).toEqual(earlier.freezes);
    expect(kept.failed).toEqual([]);
    expect(declaredInputs(kept).environments.get(staging)?.unreadable).toEqual([]);
  });

  test("of all that a file said which cannot be read at all", () => {
    const fleet = read({ ...wholeFleet, "fleet/requests.yaml": "\tkind" });
    expect(keepLastGood(fleet, earlier)).toEqual({ ...earlier, failed: [] });
  });

  test("but nothing that was taken out, and nothing that another file says now", () => {
    const { "fleet/requests.yaml": _out, ...rest } = wholeFleet;
    expect(keepLastGood(read(rest), earlier).freezes.size).toBe(0);
    const moved = { ...wholeFleet, "fleet/clusters.yaml": "[", "moved.yaml": written("Cluster", "eu-1", "") };
    const kept = keepLastGood(read(moved), earlier);
    expect(kept.clusters.get(eu)).toMatchObject({ labels: {}, file: "moved.yaml" });
    expect(kept.clusters.has(clusterId("s-1"))).toBe(true);
  });

  test("and says what was never good", () => {
    const fleet = read({ ...wholeFleet, "x.yaml": written("Freeze", "x", "spec: {until: tomorrow}\n") });
    expect(keepLastGood(fleet, earlier).failed).toMatchObject([{ kind: "Freeze", name: "x" }]);
  });
});
