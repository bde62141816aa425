import type { JsonObject, KubeObject } from "#proto/object.ts";
import type { World } from "./world.ts";

export const settings = ({ namespace }: World, data: Record<string, string>, name = "a"): KubeObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace },
  data,
});

export const deployment = (
  { namespace }: World,
  spec: JsonObject = {},
  container: JsonObject = {},
  pod: JsonObject = {},
): KubeObject => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "web", namespace },
  spec: {
    selector: { matchLabels: { app: "web" } },
    template: {
      metadata: { labels: { app: "web" } },
      spec: { containers: [{ name: "web", image: "shop:1", ...container }], ...pod },
    },
    ...spec,
  },
});

export const service = ({ namespace }: World, spec: JsonObject = {}): KubeObject => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "web", namespace },
  spec: { selector: { app: "web" }, ports: [{ name: "http", port: 80 }], ...spec },
});
