import type { ShippedRule } from "../rules.ts";

export const certManager: readonly ShippedRule[] = [
  {
    group: "cert-manager.io",
    kinds: ["Certificate"],
    // Issuing is taken off when it went well, and false only after a request that did not, by whatever reason that one gave.
    // A renewal that failed while the certificate is still good is tried again, and nobody is without one.
    failed: "condition(object, 'Ready') != 'True' && condition(object, 'Issuing') == 'False'",
    inProgress: "condition(object, 'Ready') != 'True'",
    current: "condition(object, 'Ready') == 'True'",
  },
  {
    group: "cert-manager.io",
    kinds: ["Issuer", "ClusterIssuer"],
    failed: "condition(object, 'Ready') == 'False'",
    inProgress: "condition(object, 'Ready') != 'True'",
    current: "condition(object, 'Ready') == 'True'",
  },
  {
    group: "cert-manager.io",
    kinds: ["CertificateRequest"],
    failed:
      "condition(object, 'Denied') == 'True' || condition(object, 'InvalidRequest') == 'True' || reason(object, 'Ready') in ['Failed', 'Denied']",
    inProgress: "condition(object, 'Ready') != 'True'",
    current: "condition(object, 'Ready') == 'True'",
  },
];
