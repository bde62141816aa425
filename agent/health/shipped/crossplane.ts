import type { ShippedRule } from "../rules.ts";

// Somebody wrote crossplane.io/paused on it.
const isPaused = "reason(object, 'Synced') == 'ReconcilePaused'";
const resource = {
  failed: `condition(object, 'Synced') == 'False' && !(${isPaused})`,
  inProgress: `!(${isPaused}) && (condition(object, 'Ready') != 'True' || condition(object, 'Synced') == '')`,
  current: `${isPaused} || condition(object, 'Ready') == 'True'`,
};
/** A condition that is false, with these words in its message. */
const falseSaying = (type: string, holds: string): string =>
  `object.?status.?conditions.orValue([]).exists(c, c.type == '${type}' && c.status == 'False' && ${holds})`;

export const crossplane: readonly ShippedRule[] = [
  {
    group: "pkg.crossplane.io",
    kinds: ["Provider", "Configuration", "Function"],
    // A package that is being unpacked has the same reason as one that could not be, which gives the error besides. Healthy
    // is false too while nobody knows yet.
    failed: `${falseSaying("Healthy", `!c.?message.orValue('').contains('health is "Unknown"')`)}
      || ${falseSaying("Installed", "c.?message.orValue('') != ''")} || condition(object, 'Verified') == 'False'`,
    inProgress: "condition(object, 'Installed') != 'True' || condition(object, 'Healthy') != 'True'",
    current: "condition(object, 'Installed') == 'True' && condition(object, 'Healthy') == 'True'",
  },
  {
    group: "apiextensions.crossplane.io",
    kinds: ["CompositeResourceDefinition"],
    failed:
      "condition(object, 'Established') == 'False' && reason(object, 'Established') == 'TerminatingCompositeResource'",
    inProgress: "condition(object, 'Established') != 'True'",
    current: "condition(object, 'Established') == 'True'",
  },
  {
    group: "apiextensions.crossplane.io",
    kinds: ["Composition", "EnvironmentConfig", "CompositionRevision"],
    failed: null,
    inProgress: null,
    current: "true",
  },
  {
    group: "apiextensions.crossplane.io",
    kinds: ["ManagedResourceActivationPolicy"],
    failed: "reason(object, 'Established') == 'BlockedManagedResourceActivationPolicy'",
    inProgress: "condition(object, 'Healthy') != 'True'",
    current: "condition(object, 'Healthy') == 'True'",
  },
  {
    group: "apiextensions.crossplane.io",
    kinds: ["ManagedResourceDefinition"],
    // Pending is Unknown while it goes well, and False when it does not.
    failed: "condition(object, 'Established') == 'False' && reason(object, 'Established') == 'PendingManagedResource'",
    // Inactive as long as no policy activates it.
    inProgress:
      "condition(object, 'Established') != 'True' && reason(object, 'Established') != 'InactiveManagedResource'",
    current: "true",
  },
  {
    group: "ops.crossplane.io",
    kinds: ["Operation"],
    failed: "condition(object, 'Succeeded') == 'False' || condition(object, 'ValidPipeline') == 'False'",
    inProgress: "condition(object, 'Succeeded') != 'True'",
    current: "condition(object, 'Succeeded') == 'True'",
  },
  {
    group: "ops.crossplane.io",
    kinds: ["CronOperation"],
    failed: "condition(object, 'Scheduling') == 'False' && reason(object, 'Scheduling') != 'SchedulePaused'",
    inProgress: "condition(object, 'Scheduling') == ''",
    current: "true",
  },
  {
    group: "ops.crossplane.io",
    kinds: ["WatchOperation"],
    failed: "condition(object, 'Watching') == 'False' && reason(object, 'Watching') != 'WatchPaused'",
    inProgress: "condition(object, 'Watching') == ''",
    current: "true",
  },
  {
    group: "protection.crossplane.io",
    kinds: ["Usage", "ClusterUsage"],
    failed: null,
    inProgress: "condition(object, 'Ready') != 'True'",
    current: "condition(object, 'Ready') == 'True'",
  },
  // What providers offer. Composite resources and claims are in groups of your own: Ready is read there as everywhere.
  { group: "*.crossplane.io", kinds: [], ...resource },
  { group: "*.upbound.io", kinds: [], ...resource },
];
