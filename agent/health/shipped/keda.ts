import type { ShippedRule } from "../rules.ts";

export const keda: readonly ShippedRule[] = [
  {
    group: "keda.sh",
    kinds: ["ScaledObject", "ScaledJob"],
    failed: "condition(object, 'Ready') == 'False'",
    // Fallback: a source of metrics does not answer, and a fixed number of replicas stands in for it.
    inProgress: "condition(object, 'Ready') != 'True' || condition(object, 'Fallback') == 'True'",
    current: "condition(object, 'Ready') == 'True'",
  },
];
