import type { ShippedRule } from "../rules.ts";

const resource = {
  // ReconcilePaused: somebody wrote crossplane.io/paused on it.
  failed: "condition(object, 'Synced') == 'False' && reason(object, 'Synced') != 'ReconcilePaused'",
  inProgress: "condition(object, 'Ready') != 'True' || condition(object, 'Synced') == ''",
  current: "condition(object, 'Ready') == 'True'",
};

export const crossplane: readonly ShippedRule[] = [
  {
    group: "pkg.crossplane.io",
    kinds: ["Provider", "Configuration", "Function"],
    failed:
      "condition(object, 'Healthy') == 'False' || (condition(object, 'Installed') == 'False' && reason(object, 'Installed') == 'UnpackFailed')",
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
    kinds: ["Composition", "EnvironmentConfig", "Usage", "CompositionRevision"],
    failed: null,
    inProgress: null,
    current: "true",
  },
  // What providers offer. Composite resources and claims are in groups of your own: Ready is read there as everywhere.
  { group: "*.crossplane.io", kinds: [], ...resource },
  { group: "*.upbound.io", kinds: [], ...resource },
];
