import { stringify } from "yaml";

/** Fleet documents and manifests as people write them. */
export const cluster = (name: string, labels: Record<string, string>): string =>
  yaml({ apiVersion: "plumbline.dev/v1", kind: "Cluster", metadata: { name, labels } });

export const environment = (name: string, revisions: object, more: object = {}): string =>
  yaml({
    apiVersion: "plumbline.dev/v1",
    kind: "Environment",
    metadata: { name },
    spec: { clusters: { matchLabels: { env: name } }, revisions, ...more },
  });

export const application = (
  name: string,
  spec: {
    path: string;
    namespace: string;
    environments: string[];
    repository?: string;
    delivery?: object;
    dependsOn?: string[];
  },
): string => {
  const { path, repository, ...rest } = spec;
  const source = { path, render: "plain", ...(repository && { repository }) };
  return yaml({ apiVersion: "plumbline.dev/v1", kind: "Application", metadata: { name }, spec: { source, ...rest } });
};

export const namespace = (name: string): string => yaml({ apiVersion: "v1", kind: "Namespace", metadata: { name } });

export const configMap = (name: string, data: Record<string, string>): string =>
  yaml({ apiVersion: "v1", kind: "ConfigMap", metadata: { name }, data });

export const deployment = (name: string, image: string, replicas = 2): string =>
  yaml({
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name },
    spec: {
      replicas,
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: { containers: [{ name, image, resources: { requests: { cpu: "10m" } } }] },
      },
    },
  });

export const service = (name: string): string =>
  yaml({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name },
    spec: { selector: { app: name }, ports: [{ port: 80, targetPort: 8080 }] },
  });

export const yaml = (document: object): string => stringify(document);
