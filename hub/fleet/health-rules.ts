import type { HealthRule } from "#proto/desired-state.ts";
import type { Fleet } from "./fleet.ts";

/**
 * The rules that a document carries, given those of the one before: what cannot be read now stays as it was signed, also
 * when this hub never saw it whole.
 */
export function healthRulesOf(fleet: Fleet): (before: readonly HealthRule[]) => HealthRule[] {
  const declared = [...fleet.healthRules.values()].map(
    ({ name, apiVersion, kind, current, inProgress, failed }): HealthRule => ({
      name,
      apiVersion,
      kind,
      current,
      inProgress,
      failed,
    }),
  );
  const names = new Set(declared.map(({ name }) => name));
  const unreadable = fleet.failed.filter(({ kind }) => kind === null || kind === "HealthRule");
  const isKept = ({ name }: HealthRule): boolean =>
    !names.has(name) && unreadable.some((failed) => failed.name === null || failed.name === name);
  return (before) => [...declared, ...before.filter(isKept)].sort((a, b) => (a.name < b.name ? -1 : 1));
}
