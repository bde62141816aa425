import type { ShippedRule } from "../rules.ts";

const phase = "object.?status.?phase.orValue('')";
// An annotation asks for it: the pods are gone, and the volumes stay.
const isHibernating = "condition(object, 'cnpg.io/hibernation') == 'True'";

export const cloudNativePg: readonly ShippedRule[] = [
  {
    group: "postgresql.cnpg.io",
    kinds: ["Cluster"],
    // Phases are sentences. Without continuous archiving the log fills its volume, and no backup can be restored to now.
    failed: `!(${isHibernating}) && (${phase}.contains('unrecoverable') || ${phase}.contains('cannot') || ${phase}.startsWith('Unable to')
      || ${phase}.startsWith('Not enough disk space') || ${phase}.contains('invalid image catalog')
      || ${phase}.startsWith('Invalid cluster definition')
      || ${phase} == 'Waiting for user action' || condition(object, 'ContinuousArchiving') == 'False')`,
    inProgress: `!(${isHibernating}) && (${phase} != 'Cluster in healthy state' || condition(object, 'Ready') == 'False'
      || object.?status.?readyInstances.orValue(0) < object.?status.?instances.orValue(0))`,
    current: `${isHibernating} || ${phase} == 'Cluster in healthy state'`,
  },
  {
    group: "postgresql.cnpg.io",
    kinds: ["Backup"],
    failed: `${phase} in ['failed', 'walArchivingFailing']`,
    inProgress: `${phase} in ['', 'new', 'pending', 'started', 'running', 'finalizing']`,
    current: `${phase} == 'completed'`,
  },
  {
    group: "postgresql.cnpg.io",
    kinds: ["Database", "Publication", "Subscription"],
    failed: "object.?status.?applied.orValue(true) == false",
    inProgress: "object.?status.?applied.orValue(false) == false",
    current: "object.status.applied == true",
  },
];
