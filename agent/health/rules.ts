import { compileCel, type CompiledCel } from "#lib/cel.ts";
import type { HealthRule } from "#proto/desired-state.ts";
import { groupOf, type KubeObject } from "#proto/object.ts";
import { current, failed, inProgress, unknown, type Health } from "./condition.ts";
import { saidBy } from "./said.ts";
import { argoRollouts } from "./shipped/argo-rollouts.ts";
import { certManager } from "./shipped/cert-manager.ts";
import { cloudNativePg } from "./shipped/cloudnative-pg.ts";
import { clusterApi } from "./shipped/cluster-api.ts";
import { crossplane } from "./shipped/crossplane.ts";
import { flux } from "./shipped/flux.ts";
import { gatewayApi } from "./shipped/gateway-api.ts";
import { keda } from "./shipped/keda.ts";
import { knative } from "./shipped/knative.ts";
import { prometheusOperator } from "./shipped/prometheus-operator.ts";

/** CEL over `object`, tried in the order failed, inProgress, current; none true is Unknown. */
export type Expressions = {
  readonly failed: string | null;
  readonly inProgress: string | null;
  readonly current: string;
};

/** A rule that comes with the agent: for some kinds of one group, or of all groups under a domain (`*.example.com`). */
export type ShippedRule = Expressions & { readonly group: string; readonly kinds: readonly string[] };

/** The rule for an object, if there is one. */
export type HealthRules = (object: KubeObject) => Judge | undefined;
export type Judge = (object: KubeObject) => Health;

/** All that come with the agent; the first that fits an object is its rule. */
export const shipped: readonly ShippedRule[] = [
  ...argoRollouts,
  ...certManager,
  ...flux,
  ...gatewayApi,
  ...knative,
  ...keda,
  ...prometheusOperator,
  ...cloudNativePg,
  ...clusterApi,
  ...crossplane,
];

/** The fleet's own rules before those that come with the agent. Each is compiled when its first object is seen. */
export function createHealthRules(own: readonly HealthRule[]): HealthRules {
  const known = new Map<string, Judge | undefined>();
  return ({ apiVersion, kind }) => {
    const key = `${apiVersion} ${kind}`;
    if (!known.has(key)) known.set(key, ruleFor(own, apiVersion, kind));
    return known.get(key);
  };
}

/** The rules that compile; of the others, which expression does not, and why. */
export function compilable(own: readonly HealthRule[]): { rules: HealthRule[]; problems: string[] } {
  const problems: string[] = [];
  const rules = own.filter((rule) => {
    const wrong = verdicts.flatMap((verdict) => {
      const text = rule[verdict];
      const compiled = text === null ? undefined : compileCel(text);
      return compiled?.ok === false ? [`${verdict}: ${compiled.problem}`] : [];
    });
    if (wrong.length > 0) problems.push(`HealthRule ${rule.name} is ignored: ${wrong.join("; ")}`);
    return wrong.length === 0;
  });
  return { rules, problems };
}

function ruleFor(own: readonly HealthRule[], apiVersion: string, kind: string): Judge | undefined {
  const mine = own.find((rule) => rule.apiVersion === apiVersion && rule.kind === kind);
  if (mine !== undefined) return compile(mine, `HealthRule ${mine.name}`);
  const group = groupOf(apiVersion);
  const ofGroup = shipped.filter((rule) => rule.group === group);
  // Kinds of a group that is known by name are not a provider's: without a rule of their own they are read as any other.
  const theirs =
    ofGroup.length > 0
      ? ofGroup.find(({ kinds }) => kinds.includes(kind))
      : shipped.find((rule) => rule.group.startsWith("*") && group.endsWith(rule.group.slice(1)) && !isSettings(kind));
  return theirs === undefined ? undefined : compile(theirs, `the rule for ${kind} of ${group}`);
}

/** Kinds of settings beside the resources of a provider: they have no conditions. */
const isSettings = (kind: string): boolean => /(?:Config|ConfigUsage)$/.test(kind);

const verdicts = ["failed", "inProgress", "current"] as const;

function compile(rule: Expressions, name: string): Judge {
  const compiled = verdicts.flatMap((verdict): [(typeof verdicts)[number], CompiledCel][] => {
    const text = rule[verdict];
    return text === null ? [] : [[verdict, compileCel(text)]];
  });
  return (object) => {
    const judged = { ...object, metadata: { ...object.metadata, managedFields: undefined } };
    for (const [verdict, cel] of compiled) {
      const answer = cel.ok ? cel.evaluate(judged) : cel;
      if (!answer.ok) return unknown(`${name}: ${verdict}: ${answer.problem}`);
      if (answer.holds) return healthAs(verdict, object);
    }
    const said = saidBy(object);
    return unknown(`${name}: no expression holds${said === "" ? "" : `: ${said}`}`);
  };
}

function healthAs(verdict: (typeof verdicts)[number], object: KubeObject): Health {
  switch (verdict) {
    case "failed":
      return failed(saidBy(object) || "its rule says that it failed");
    case "inProgress":
      return inProgress(saidBy(object) || "waits for its controller");
    case "current":
      return current();
  }
}
