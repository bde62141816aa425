import type { KubeObject } from "#proto/object.ts";

const namespaces = 20;
const padding = "x".repeat(1_800);

/**
 * B1000: 1,000 objects as small teams have them, in 20 namespaces of their own, which `prefix` begins. Deployments have no
 * replicas, so that only the API server is measured.
 */
export function b1000(prefix = "b1000"): KubeObject[] {
  const inside = (n: number): string => `${prefix}-${n % namespaces}`;
  const named = (name: string, n: number) => ({ name, namespace: inside(n), labels: { app: "b1000" } });
  return [
    ...each(namespaces, (n) => ({ apiVersion: "v1", kind: "Namespace", metadata: { name: inside(n) } })),
    ...each(500, (n) => ({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: named(`cm-${n}`, n),
      data: { a: "v0", b: padding },
    })),
    ...each(200, (n) => deployment(named(`d-${n}`, n))),
    ...each(150, (n) => ({
      apiVersion: "v1",
      kind: "Service",
      metadata: named(`s-${n}`, n),
      spec: { selector: { app: `d-${n}` }, ports: [{ name: "http", port: 80, targetPort: "http" }] },
    })),
    ...each(100, (n) => ({ apiVersion: "v1", kind: "ServiceAccount", metadata: named(`sa-${n}`, n) })),
    ...each(50, (n) => ({
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "RoleBinding",
      metadata: named(`rb-${n}`, n),
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "view" },
      subjects: [{ kind: "ServiceAccount", name: `sa-${n}`, namespace: inside(n) }],
    })),
  ];
}

function deployment(metadata: KubeObject["metadata"]): KubeObject {
  const app = metadata.name;
  const container = {
    name: "c",
    image: "nginx:1.27",
    ports: [{ containerPort: 80, name: "http" }],
    resources: { requests: { cpu: "100m", memory: "64Mi" }, limits: { memory: "128Mi" } },
    env: [{ name: "A", value: "1" }],
  };
  const template = { metadata: { labels: { app } }, spec: { containers: [container] } };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata,
    spec: { replicas: 0, selector: { matchLabels: { app } }, template },
  };
}

const each = (count: number, make: (n: number) => KubeObject): KubeObject[] =>
  Array.from({ length: count }, (_, n) => make(n));
