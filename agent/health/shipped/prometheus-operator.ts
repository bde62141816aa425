import type { ShippedRule } from "../rules.ts";
import { isStale } from "./stale.ts";

const bindings = "object.?status.?bindings.orValue([])";
const isOld = isStale("b.?conditions.orValue([])");

export const prometheusOperator: readonly ShippedRule[] = [
  {
    group: "monitoring.coreos.com",
    kinds: ["Prometheus", "PrometheusAgent", "Alertmanager", "ThanosRuler"],
    failed: "condition(object, 'Reconciled') == 'False'",
    // Available knows a third word, Degraded: some pods are ready.
    inProgress:
      "object.?spec.?paused.orValue(false) != true && (condition(object, 'Available') != 'True' || condition(object, 'Reconciled') != 'True')",
    current:
      "object.?spec.?paused.orValue(false) == true || (condition(object, 'Available') == 'True' && condition(object, 'Reconciled') == 'True')",
  },
  {
    group: "monitoring.coreos.com",
    kinds: ["ServiceMonitor", "PodMonitor", "Probe", "ScrapeConfig", "PrometheusRule", "AlertmanagerConfig"],
    // Bindings are there since 0.86, and only where the operator was told to write them.
    failed: `${bindings}.exists(b, !(${isOld}) && condition(b, 'Accepted') == 'False')`,
    inProgress: `${bindings}.exists(b, ${isOld})`,
    current: "true",
  },
];
