import type { KubeObject } from "#proto/object.ts";

/** Where the objects of the property live; itself one of them, of a kind that is never pruned. */
export const place = "shop";

/** What Applications may have, by name; `level` is what revisions change. */
export const pool: Readonly<Record<string, (level: number) => KubeObject>> = {
  space: (level) => ({
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: "annex", labels: { level: `${level}` } },
  }),
  one: (level) => configMap("one", level),
  two: (level) => configMap("two", level),
  three: (level) => configMap("three", level),
  once: (level) => {
    const object = configMap("once", level);
    object.metadata.annotations = { "plumbline.dev/apply": "once" };
    return object;
  },
  secret: (level) => ({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "password", namespace: place },
    data: { level: Buffer.from(`${level}`).toString("base64") },
  }),
  service: (level) => ({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "web", namespace: place },
    spec: { selector: { app: "web" }, ports: [{ name: "http", port: 80 + level, protocol: "TCP", targetPort: 8080 }] },
  }),
  web: (level) => ({
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "web", namespace: place },
    spec: {
      replicas: 1 + level,
      selector: { matchLabels: { app: "web" } },
      template: {
        metadata: { labels: { app: "web" } },
        spec: { containers: [{ name: "web", image: `registry.example/web:${level}` }] },
      },
    },
  }),
};

export const names = Object.keys(pool);
/** Made where it is absent; its content, and that it goes, is nobody's business here. */
export const isOnce = (name: string): boolean => name === "once";
/** A hook of each Application, before each apply and before a Removal deletes. */
export const hookOf = (application: string, level: number): KubeObject => ({
  apiVersion: "batch/v1",
  kind: "Job",
  metadata: {
    name: `hook-${application}`,
    namespace: place,
    annotations: { "helm.sh/hook": "pre-install,pre-upgrade,pre-delete" },
  },
  spec: {
    template: {
      spec: { restartPolicy: "Never", containers: [{ name: "main", image: `registry.example/migrate:${level}` }] },
    },
  },
});
export const isProtected = (name: string): boolean => name === "space";

function configMap(name: string, level: number): KubeObject {
  return {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name, namespace: place },
    data: { level: `${level}`, fixed: "yes" },
  };
}

/** The field that a revision changes, changed by hand. */
export function meddle(object: KubeObject): void {
  const fields = object as unknown as Record<string, Record<string, unknown>>;
  if (object.kind === "ConfigMap") fields["data"]!["level"] = "by hand";
  else if (object.kind === "Secret") fields["data"]!["level"] = "YnkgaGFuZA==";
  else if (object.kind === "Service") fields["spec"]!["selector"] = { app: "other" };
  else if (object.kind === "Deployment") fields["spec"]!["replicas"] = 9;
  else object.metadata.labels = { ...object.metadata.labels, level: "by-hand" };
}
