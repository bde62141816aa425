import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { groupOf, type JsonObject, type KubeObject } from "#proto/object.ts";
import type { HealthState } from "./condition.ts";
import { healthOf, judgedKinds, worstOf } from "./health.ts";
import { createHealthRules, shipped, type ShippedRule } from "./rules.ts";

type Case = {
  readonly when: string;
  readonly is: HealthState;
  /** What the reason says, in part. */
  readonly reason?: string;
  readonly now?: string;
} & { readonly [field: string]: unknown };

const rules = createHealthRules([]);
const folder = new URL("cases/", import.meta.url);

type Described = { kind: string; cases: Case[] };

for (const file of readdirSync(folder)) {
  const kinds = parse(readFileSync(new URL(file, folder), "utf8"), { merge: true }) as Described[];
  for (const { kind, cases } of kinds)
    describe(`${kind} (${file})`, () => {
      test.each(cases)("is $is when $when", (each) => {
        const health = healthOf(objectOf(kind, each), Date.parse(each.now ?? "2030-01-01T00:01:00Z"), rules);
        expect(health.state, health.reason).toBe(each.is);
        expect(health.reason).toContain(each.reason ?? "");
        // Whatever is not well says why.
        if (each.is !== "Current") expect(health.reason).not.toBe("");
      });
    });
}

/** Everything in a case that is not about it stands in the object. */
function objectOf(described: string, { when: _w, is: _i, reason: _r, now: _n, metadata, ...fields }: Case): KubeObject {
  const [apiVersion, kind] = described.split(" ") as [string, string];
  const named = { name: "x", namespace: "shop", generation: 2, ...(metadata as JsonObject) };
  return { apiVersion, kind, metadata: named, ...(fields as JsonObject) };
}

/** By "group/Kind", the verdicts that its cases come to. */
function toldVerdicts(): Map<string, Set<HealthState>> {
  const told = new Map<string, Set<HealthState>>();
  for (const file of readdirSync(folder))
    for (const { kind, cases } of parse(readFileSync(new URL(file, folder), "utf8"), { merge: true }) as Described[]) {
      const [apiVersion, name] = kind.split(" ") as [string, string];
      const key = `${groupOf(apiVersion)}/${name}`;
      told.set(key, new Set([...(told.get(key) ?? []), ...cases.map(({ is }) => is)]));
    }
  return told;
}

// What docs/health.md says that each kind can come to. Nothing but a deletion makes the others anything but Current.
const moves = ["Current", "InProgress"] as const;
const fails = [...moves, "Failed"] as const;
const comesTo: Readonly<Record<string, readonly HealthState[]>> = {
  "apps/Deployment": [...fails, "Terminating"],
  "apps/StatefulSet": [...moves, "Terminating"],
  "apps/DaemonSet": [...moves, "Terminating"],
  "apps/ReplicaSet": [...fails, "Terminating"],
  "/ReplicationController": moves,
  "batch/Job": [...fails, "Terminating"],
  "batch/CronJob": ["Current", "Terminating"],
  "/Pod": [...fails, "Terminating", "Unknown"],
  "/Service": [...fails, "Terminating"],
  "networking.k8s.io/Ingress": ["Current", "Terminating"],
  "/PersistentVolumeClaim": [...fails, "Terminating"],
  "/PersistentVolume": [...fails, "Terminating"],
  "storage.k8s.io/VolumeAttachment": moves,
  "/Namespace": ["Current", "Terminating"],
  "policy/PodDisruptionBudget": [...fails, "Terminating"],
  "autoscaling/HorizontalPodAutoscaler": [...fails, "Terminating"],
  "apiextensions.k8s.io/CustomResourceDefinition": [...fails, "Terminating"],
  "apiregistration.k8s.io/APIService": [...moves, "Terminating"],
  "certificates.k8s.io/CertificateSigningRequest": fails,
  "/ResourceQuota": ["Current", "Terminating"],
  "resource.k8s.io/ResourceClaim": ["Current"],
  "storagemigration.k8s.io/StorageVersionMigration": fails,
  "flowcontrol.apiserver.k8s.io/FlowSchema": ["Current", "Failed"],
  "admissionregistration.k8s.io/ValidatingAdmissionPolicy": ["Current"],
};

test("every built-in kind has a case of each verdict that it can come to", () => {
  const told = toldVerdicts();
  const listed = judgedKinds.map((kind) => [kind, [...(told.get(kind) ?? [])].toSorted()]);
  const wanted = Object.entries(comesTo).map(([kind, verdicts]) => [kind, [...verdicts].toSorted()]);
  expect(Object.fromEntries(listed)).toEqual(Object.fromEntries(wanted));
});

test("each expression of each rule that comes with the agent decides a case", () => {
  const told = [...toldVerdicts()];
  const isOf = (key: string, { group, kinds }: ShippedRule): boolean => {
    const [its = "", kind = ""] = key.split("/");
    return group.startsWith("*") ? its.endsWith(group.slice(1)) : its === group && kinds.includes(kind);
  };
  const missing = shipped.flatMap((rule) => {
    const decided = new Set(told.filter(([key]) => isOf(key, rule)).flatMap(([, states]) => [...states]));
    const wanted: HealthState[] = ["Current"];
    if (rule.failed !== null) wanted.push("Failed");
    if (rule.inProgress !== null) wanted.push("InProgress");
    return wanted.filter((state) => !decided.has(state)).map((state) => `${rule.group} ${rule.kinds[0]}: ${state}`);
  });
  expect(missing).toEqual([]);
});

test("lets the worst object speak for its Application", () => {
  const job = healthOf({ apiVersion: "batch/v1", kind: "Job", metadata: { name: "x" } }, 0, rules);
  expect(worstOf([worstOf([]), job, healthOf(undefined, 0, rules)]).state).toBe("NotFound");
  expect(worstOf([]).state).toBe("Current");
});
