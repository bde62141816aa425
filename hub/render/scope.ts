import type { ObjectRef } from "#proto/object.ts";

// The built-in kinds without a namespace, Kubernetes 1.36.
const clusterScoped = new Set([
  "/Namespace",
  "/Node",
  "/PersistentVolume",
  "admissionregistration.k8s.io/MutatingAdmissionPolicy",
  "admissionregistration.k8s.io/MutatingAdmissionPolicyBinding",
  "admissionregistration.k8s.io/MutatingWebhookConfiguration",
  "admissionregistration.k8s.io/ValidatingAdmissionPolicy",
  "admissionregistration.k8s.io/ValidatingAdmissionPolicyBinding",
  "admissionregistration.k8s.io/ValidatingWebhookConfiguration",
  "apiextensions.k8s.io/CustomResourceDefinition",
  "apiregistration.k8s.io/APIService",
  "certificates.k8s.io/CertificateSigningRequest",
  "certificates.k8s.io/ClusterTrustBundle",
  "flowcontrol.apiserver.k8s.io/FlowSchema",
  "flowcontrol.apiserver.k8s.io/PriorityLevelConfiguration",
  "networking.k8s.io/IPAddress",
  "networking.k8s.io/IngressClass",
  "networking.k8s.io/ServiceCIDR",
  "node.k8s.io/RuntimeClass",
  "rbac.authorization.k8s.io/ClusterRole",
  "rbac.authorization.k8s.io/ClusterRoleBinding",
  "resource.k8s.io/DeviceClass",
  "resource.k8s.io/DeviceTaintRule",
  "resource.k8s.io/ResourceSlice",
  "scheduling.k8s.io/PriorityClass",
  "storage.k8s.io/CSIDriver",
  "storage.k8s.io/CSINode",
  "storage.k8s.io/StorageClass",
  "storage.k8s.io/VolumeAttachment",
  "storage.k8s.io/VolumeAttributesClass",
]);

// Custom kinds without a namespace of projects whose CRDs usually come from another Application than what uses them.
const knownCustom = new Set([
  "apiextensions.crossplane.io/CompositeResourceDefinition",
  "apiextensions.crossplane.io/Composition",
  "argoproj.io/ClusterAnalysisTemplate",
  "argoproj.io/ClusterWorkflowTemplate",
  "cert-manager.io/ClusterIssuer",
  "cilium.io/CiliumClusterwideNetworkPolicy",
  "crd.projectcalico.org/GlobalNetworkPolicy",
  "crd.projectcalico.org/IPPool",
  "external-secrets.io/ClusterExternalSecret",
  "external-secrets.io/ClusterSecretStore",
  "gateway.networking.k8s.io/GatewayClass",
  "karpenter.k8s.aws/EC2NodeClass",
  "karpenter.sh/NodePool",
  "keda.sh/ClusterTriggerAuthentication",
  "kyverno.io/ClusterCleanupPolicy",
  "kyverno.io/ClusterPolicy",
  "operator.tigera.io/Installation",
  "pkg.crossplane.io/Configuration",
  "pkg.crossplane.io/Function",
  "pkg.crossplane.io/Provider",
  "policy.networking.k8s.io/AdminNetworkPolicy",
  "policy.networking.k8s.io/BaselineAdminNetworkPolicy",
  "projectcalico.org/GlobalNetworkPolicy",
  "projectcalico.org/IPPool",
  "snapshot.storage.k8s.io/VolumeSnapshotClass",
  "snapshot.storage.k8s.io/VolumeSnapshotContent",
  "templates.gatekeeper.sh/ConstraintTemplate",
  "trust.cert-manager.io/Bundle",
]);

/**
 * Whether a kind has no namespace, as far as its name tells: a kind of Kubernetes itself, or one of a well-known project. Any
 * other custom kind is taken for one with a namespace; its CRD in the bundle, or the Application, may say otherwise.
 */
export const isClusterScoped = ({ group, kind }: Pick<ObjectRef, "group" | "kind">): boolean =>
  clusterScoped.has(`${group}/${kind}`) ||
  knownCustom.has(`${group}/${kind}`) ||
  // Gatekeeper makes a kind of each template, and none of them has a namespace.
  group === "constraints.gatekeeper.sh";
