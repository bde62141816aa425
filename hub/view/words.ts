import { ApplicationPhase, DriftKind, DriftState, Health } from "#proto/gen/plumbline/agent/v1/agent.ts";
import type { DriftRow, HealthWord } from "#proto/api.ts";

const healths: Readonly<Record<Health, HealthWord>> = {
  [Health.UNSPECIFIED]: "Unknown",
  [Health.CURRENT]: "Current",
  [Health.IN_PROGRESS]: "InProgress",
  [Health.FAILED]: "Failed",
  [Health.TERMINATING]: "Terminating",
  [Health.NOT_FOUND]: "NotFound",
  [Health.UNKNOWN]: "Unknown",
};
const phases: Readonly<Record<ApplicationPhase, string>> = {
  [ApplicationPhase.UNSPECIFIED]: "Unknown",
  [ApplicationPhase.APPLYING]: "Applying",
  [ApplicationPhase.APPLIED]: "Applied",
  [ApplicationPhase.HELD]: "Held",
  [ApplicationPhase.BLOCKED]: "Blocked",
  [ApplicationPhase.FAILED]: "Failed",
  [ApplicationPhase.REMOVING]: "Removing",
  [ApplicationPhase.REMOVED]: "Removed",
};
const kinds: Readonly<Record<DriftKind, DriftRow["kind"]>> = {
  [DriftKind.UNSPECIFIED]: "changed",
  [DriftKind.CHANGED]: "changed",
  [DriftKind.DELETED]: "deleted",
  [DriftKind.LABEL_REMOVED]: "label removed",
  [DriftKind.REPLACED]: "replaced",
};
const states: Readonly<Record<DriftState, DriftRow["state"]>> = {
  [DriftState.UNSPECIFIED]: "seen",
  [DriftState.SEEN]: "seen",
  [DriftState.HEALED]: "healed",
  [DriftState.CONTESTED]: "contested",
  [DriftState.ENDED]: "ended",
};

export const healthWord = (health: Health): HealthWord => healths[health] ?? "Unknown";
export const phaseWord = (phase: ApplicationPhase): string => phases[phase] ?? "Unknown";
export const driftKindWord = (kind: DriftKind): DriftRow["kind"] => kinds[kind] ?? "changed";
export const driftStateWord = (state: DriftState): DriftRow["state"] => states[state] ?? "seen";

/** Worst first; a cluster that says nothing is worse than one that works, and better than one that failed. */
export const healthOrder: readonly HealthWord[] = [
  "Failed",
  "NotFound",
  "Unknown",
  "Terminating",
  "InProgress",
  "Current",
];

export const worst = (words: readonly HealthWord[]): HealthWord =>
  healthOrder.find((word) => words.includes(word)) ?? "Current";

/** Every phase once. */
export const phaseOrder: readonly string[] = [...new Set(Object.values(phases))];
