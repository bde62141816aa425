import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { groupOf, type JsonObject, type KubeObject } from "#proto/object.ts";
import type { HealthState } from "./condition.ts";
import { healthOf, judgedKinds, worstOf } from "./health.ts";
import { createHealthRules } from "./rules.ts";

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

test("every built-in kind has a case of each verdict that it can come to", () => {
  const told = new Map<string, Set<string>>();
  for (const file of readdirSync(folder))
    for (const { kind, cases } of parse(readFileSync(new URL(file, folder), "utf8"), { merge: true }) as Described[]) {
      const [apiVersion, name] = kind.split(" ") as [string, string];
      const verdicts = told.get(`${groupOf(apiVersion)}/${name}`) ?? new Set();
      for (const { is } of cases) verdicts.add(is);
      told.set(`${groupOf(apiVersion)}/${name}`, verdicts);
    }
  // Nothing but a deletion makes these other than Current.
  const alwaysCurrent = /CronJob|Ingress|ResourceQuota|ResourceClaim|AdmissionPolicy|Namespace/;
  for (const kind of judgedKinds) {
    const verdicts = [...(told.get(kind) ?? [])];
    expect(verdicts, kind).toContain("Current");
    if (!alwaysCurrent.test(kind)) expect(verdicts.length, kind).toBeGreaterThan(1);
  }
});

test("lets the worst object speak for its Application", () => {
  const job = healthOf({ apiVersion: "batch/v1", kind: "Job", metadata: { name: "x" } }, 0, rules);
  expect(worstOf([worstOf([]), job, healthOf(undefined, 0, rules)]).state).toBe("NotFound");
  expect(worstOf([]).state).toBe("Current");
});
