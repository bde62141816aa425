import type { ShippedRule } from "../rules.ts";

const isSuspended = "object.?spec.?suspend.orValue(false) == true";
// Ready is False only after an attempt that failed; Reconciling may stand beside it, for the next one.
const hasFailed =
  "condition(object, 'Stalled') == 'True' || (condition(object, 'Ready') == 'False' && !(reason(object, 'Ready') in ['DependencyNotReady', 'Progressing']))";
const rule = {
  failed: `!(${isSuspended}) && (${hasFailed})`,
  inProgress: `!(${isSuspended}) && (condition(object, 'Ready') != 'True' || condition(object, 'Reconciling') == 'True')`,
  current: `(${isSuspended}) || condition(object, 'Ready') == 'True'`,
};

/** Flux 2: the conditions of its kinds are those of kstatus, with Ready false for each attempt that failed. */
export const flux: readonly ShippedRule[] = [
  {
    group: "source.toolkit.fluxcd.io",
    kinds: ["GitRepository", "OCIRepository", "Bucket", "HelmChart", "ExternalArtifact"],
    ...rule,
  },
  {
    group: "source.toolkit.fluxcd.io",
    kinds: ["HelmRepository"],
    ...rule,
    // A repository of type oci is only an address: no controller looks at it.
    inProgress: `object.?spec.?type.orValue('') != 'oci' && ${rule.inProgress}`,
    current: `object.?spec.?type.orValue('') == 'oci' || ${rule.current}`,
  },
  { group: "kustomize.toolkit.fluxcd.io", kinds: ["Kustomization"], ...rule },
  { group: "helm.toolkit.fluxcd.io", kinds: ["HelmRelease"], ...rule },
  {
    group: "image.toolkit.fluxcd.io",
    kinds: ["ImageRepository", "ImagePolicy", "ImageUpdateAutomation"],
    ...rule,
  },
  { group: "notification.toolkit.fluxcd.io", kinds: ["Receiver"], ...rule },
];
