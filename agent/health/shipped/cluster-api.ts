import type { ShippedRule } from "../rules.ts";

const phase = "object.?status.?phase.orValue('')";
// v1beta1 says failureReason; v1beta2 keeps it under deprecated for as long as v1beta1 is served.
const isTerminal = `${phase} == 'Failed' || has(object.status) && (has(object.status.failureReason) || has(object.status.failureMessage))`;
/** Status False with severity Error, as v1beta1 has it. */
const hasError = `object.?status.?conditions.orValue([]).exists(c, c.status == 'False' && c.?severity.orValue('') == 'Error')`;
// Cluster has Ready in v1beta1 and Available in v1beta2.
const isUp =
  "condition(object, 'Available') == 'True' || (condition(object, 'Available') == '' && condition(object, 'Ready') == 'True')";

export const clusterApi: readonly ShippedRule[] = [
  {
    group: "cluster.x-k8s.io",
    kinds: ["Cluster"],
    failed: `${isTerminal} || ${hasError}`,
    inProgress: `object.?spec.?paused.orValue(false) != true && (${phase} != 'Provisioned' || !(${isUp}))`,
    current: `object.?spec.?paused.orValue(false) == true || (${isUp})`,
  },
  {
    group: "cluster.x-k8s.io",
    kinds: ["Machine"],
    failed: `${isTerminal} || ${hasError}`,
    inProgress: `${phase} != 'Running' || condition(object, 'Ready') != 'True'`,
    current: `${phase} == 'Running' && condition(object, 'Ready') == 'True'`,
  },
  {
    group: "cluster.x-k8s.io",
    kinds: ["MachineDeployment", "MachineSet", "MachinePool"],
    failed: `${isTerminal} || ${hasError}`,
    inProgress: `object.?status.?readyReplicas.orValue(0) < object.?spec.?replicas.orValue(1)
      || object.?status.?replicas.orValue(0) != object.?spec.?replicas.orValue(1)
      || condition(object, 'Available') in ['False', 'Unknown'] || condition(object, 'Ready') in ['False', 'Unknown']`,
    current: "object.?status.?readyReplicas.orValue(0) >= object.?spec.?replicas.orValue(1)",
  },
  {
    group: "controlplane.cluster.x-k8s.io",
    kinds: ["KubeadmControlPlane"],
    failed: `${isTerminal} || ${hasError}`,
    inProgress: `!(${isUp}) || object.?status.?readyReplicas.orValue(0) < object.?spec.?replicas.orValue(1)`,
    current: isUp,
  },
];
