import fc from "fast-check";
import type { Delivery } from "#proto/desired-state.ts";
import { applicationName } from "#proto/ids.ts";
import { hookNames, type HookName } from "./hooks.ts";

export const applications = ["a", "b", "c"] as const;
export type ApplicationName = (typeof applications)[number];

/** How an Application is to be run, besides what it has. */
export type Policy = {
  readonly dependsOn: readonly ApplicationName[];
  readonly hooks: readonly HookName[];
  /** Whether its objects have waves. */
  readonly waves: boolean;
  readonly drift: "correct" | "report";
  readonly strict: boolean;
  /** For how long a DriftException lets be whatever people edit. */
  readonly excepted: "never" | "always" | "awhile";
  /** Whether nothing is healed for that long. */
  readonly frozen: boolean;
};

export const awhileMs = 600_000;

/** Most of what runs is plain: what differs from that is one thing or two. */
export const policy: fc.Arbitrary<Policy> = fc.record({
  dependsOn: seldom(3, [], fc.uniqueArray(fc.constantFrom(...applications), { minLength: 1, maxLength: 2 })),
  hooks: seldom(1, [], fc.uniqueArray(fc.constantFrom(...hookNames), { minLength: 1, maxLength: 4 })),
  waves: seldom(3, false, fc.constant(true)),
  drift: seldom(5, "correct" as const, fc.constant("report" as const)),
  strict: seldom(4, false, fc.constant(true)),
  excepted: seldom(5, "never" as const, fc.constantFrom("always" as const, "awhile" as const)),
  frozen: seldom(6, false, fc.constant(true)),
});

export function deliveryOf(application: ApplicationName, policy: Policy, now: number): Partial<Delivery> {
  const { drift, strict, excepted, frozen, dependsOn } = policy;
  const exception = {
    object: "*",
    fields: ["data.level", "spec.selector", "spec.replicas", "metadata.labels.level"],
    untilMs: excepted === "always" ? null : now + awhileMs,
    reason: "somebody has to try something",
  };
  return {
    // What was let go, lost its label and is wanted again would be refused as a stranger's, rightly.
    adopt: "take",
    drift,
    strict,
    exceptions: excepted === "never" ? [] : [exception],
    healingFrozen: frozen ? { untilMs: now + awhileMs } : null,
    dependsOn: dependsOn.filter((name) => name !== application).map((name) => applicationName(name)),
  };
}

function seldom<T>(weight: number, usual: T, other: fc.Arbitrary<T>): fc.Arbitrary<T> {
  return fc.oneof({ weight, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: other });
}
