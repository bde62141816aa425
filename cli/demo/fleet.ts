import { stringify } from "yaml";

/** The clusters of the demo: one of dev, one of staging, three of prod. */
export const demoClusters: readonly { readonly name: string; readonly labels: Readonly<Record<string, string>> }[] = [
  { name: "dev-1", labels: { env: "dev" } },
  { name: "staging-1", labels: { env: "staging" } },
  { name: "prod-eu", labels: { env: "prod", region: "eu" } },
  { name: "prod-us", labels: { env: "prod", region: "us" } },
  { name: "prod-ap", labels: { env: "prod", region: "ap" } },
];

const environment = (name: string, revisions: object): object => ({
  apiVersion: "plumbline.dev/v1",
  kind: "Environment",
  metadata: { name },
  spec: { clusters: { matchLabels: { env: name } }, revisions },
});

/** Where the shop runs and from which images; a cluster in memory runs whatever it is told. */
export type Shop = { readonly namespace: string; readonly image: (version: string) => string };
export const inventedShop: Shop = { namespace: "shop", image: (version) => `registry.example/shop/web:${version}` };

const documents = (...all: object[]): string => all.map((document) => stringify(document)).join("---\n");

/** The fleet repository at its first commit. */
export const fleetFiles = (access: string, { namespace }: Shop): Record<string, string> => ({
  "fleet/access.yaml": access,
  "fleet/environments.yaml": documents(
    environment("dev", { follow: "main" }),
    environment("staging", { promotedFrom: ["dev"] }),
    environment("prod", { promotedFrom: ["staging"] }),
  ),
  "fleet/shop.yaml": documents({
    apiVersion: "plumbline.dev/v1",
    kind: "Application",
    metadata: { name: "shop" },
    spec: {
      source: { path: "shop", render: "plain" },
      namespace,
      environments: ["dev", "staging", "prod"],
    },
  }),
});

/** The application: a Namespace, a Deployment, a Service, a ConfigMap. */
export const shopFiles = (version: string, { namespace, image }: Shop): Record<string, string> => ({
  "shop/namespace.yaml": documents({ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } }),
  "shop/web.yaml": documents(
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "web" },
      spec: {
        replicas: 3,
        selector: { matchLabels: { app: "web" } },
        template: {
          metadata: { labels: { app: "web" } },
          spec: { containers: [{ name: "web", image: image(version) }] },
        },
      },
    },
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "web" },
      spec: { selector: { app: "web" }, ports: [{ port: 80, targetPort: 8080 }] },
    },
  ),
  "shop/settings.yaml": documents({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "settings" },
    data: { LOG_LEVEL: "info", VERSION: version },
  }),
});
