import type { KubeObject } from "#proto/object.ts";
import { place } from "./place.ts";

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
  web: (level) => deployment("web", level),
  // Never gets ready.
  broken: (level) => deployment("broken", level),
};

export const names = Object.keys(pool);
/** Made where it is absent; its content, and that it goes, is nobody's business here. */
export const isOnce = (name: string): boolean => name === "once";
export const isProtected = (name: string): boolean => name === "space";
export const isSick = (name: string): boolean => name === "broken";

const waves: Readonly<Record<string, number>> = { one: -1, broken: 1, web: 1, two: 2 };
export const waveOf = (name: string): number => waves[name] ?? 0;

export function objectOf(name: string, level: number, hasWaves: boolean): KubeObject {
  const object = pool[name]!(level);
  if (hasWaves && waveOf(name) !== 0)
    object.metadata.annotations = { ...object.metadata.annotations, "plumbline.dev/wave": `${waveOf(name)}` };
  return object;
}

function configMap(name: string, level: number): KubeObject {
  return {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name, namespace: place },
    data: { level: `${level}`, fixed: "yes" },
  };
}

function deployment(name: string, level: number): KubeObject {
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace: place },
    spec: {
      replicas: 1 + level,
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: { containers: [{ name: "main", image: `registry.example/${name}:${level}` }] },
      },
    },
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

/** Of nobody's business, unless its Application is strict. */
export const strangeLabel = "example.com/stranger";
