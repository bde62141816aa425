import { compilable, createHealthRules, type HealthRules } from "#agent/health/rules.ts";
import type { HealthRule } from "#proto/desired-state.ts";

/** The rules of the document in force; those that come with the agent follow the fleet's own. */
export type RulesInForce = {
  readonly now: HealthRules;
  /** Takes the rules of a newer document. Gives the kinds ("apps/v1 Deployment") that are judged otherwise from now on. */
  take(own: readonly HealthRule[]): { readonly changed: ReadonlySet<string>; readonly problems: readonly string[] };
};

export function createRulesInForce(): RulesInForce {
  let own: readonly HealthRule[] = [];
  let judged = createHealthRules([]);
  return {
    now: (object) => judged(object),
    take(rules) {
      const before = textsOf(own);
      const after = textsOf(rules);
      const kinds = new Set([...before.keys(), ...after.keys()]);
      const changed = new Set([...kinds].filter((kind) => before.get(kind) !== after.get(kind)));
      own = rules;
      // Compiling takes a while: most documents change no rule.
      if (changed.size === 0) return { changed, problems: [] };
      const { rules: good, problems } = compilable(rules);
      judged = createHealthRules(good);
      return { changed, problems };
    },
  };
}

const textsOf = (rules: readonly HealthRule[]): Map<string, string> =>
  new Map(rules.map((rule) => [`${rule.apiVersion} ${rule.kind}`, JSON.stringify(rule)]));
