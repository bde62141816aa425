import type { ShippedRule } from "../rules.ts";

/** Argo Rollouts 1.x writes its verdict into `status.phase`. */
export const argoRollouts: readonly ShippedRule[] = [
  {
    group: "argoproj.io",
    kinds: ["Rollout"],
    failed: "object.?status.?phase.orValue('') == 'Degraded' || condition(object, 'InvalidSpec') == 'True'",
    // Paused: a canary step that waits, for a time or for a person.
    inProgress: "object.?status.?phase.orValue('') in ['', 'Progressing', 'Paused']",
    current: "object.status.phase == 'Healthy'",
  },
  {
    group: "argoproj.io",
    kinds: ["AnalysisRun", "Experiment"],
    failed: "object.?status.?phase.orValue('') in ['Failed', 'Error']",
    inProgress: "object.?status.?phase.orValue('') in ['', 'Pending', 'Running']",
    current: "object.status.phase == 'Successful'",
  },
];
