import { afterAll, beforeAll, expect, test } from "vitest";
import { kubeconfigAccess } from "#agent/cluster/access.ts";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { openKubernetes } from "#agent/cluster/kubernetes.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { application, configMap, deployment, environment, namespace, service } from "#test/harness/manifests.ts";
import { startWorld, type World } from "#test/harness/world.ts";

let world: World;
let plane: ControlPlane;
let people: Cluster;
let kubeconfig: string;

beforeAll(async () => {
  [world, plane] = await Promise.all([startWorld(), startControlPlane()]);
  kubeconfig = await plane.kubeconfig("agent-dev", ["system:masters"]);
  people = openKubernetes(await kubeconfigAccess(await plane.kubeconfig("people", ["system:masters"])));
  await world.startHub();
});
afterAll(async () => {
  await people?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
  await plane?.[Symbol.asyncDispose]();
});

const get = (kind: string, name: string, inside = "shop") =>
  people.get({
    apiVersion: kind === "Deployment" ? "apps/v1" : "v1",
    group: kind === "Deployment" ? "apps" : "",
    kind,
    namespace: kind === "Namespace" ? "" : inside,
    name,
  });

test("J1 a Namespace, a Deployment and a Service that were pushed reach a cluster with nobody typing kubectl", async () => {
  const answer = await world.register("dev-1", { env: "dev" });
  await world.join("dev-1", answer, kubeconfig);
  await world.git.commit(
    "fleet",
    "main",
    {
      "fleet/environments.yaml": environment("dev", { follow: "main" }),
      "fleet/shop.yaml": application("shop", { path: "deploy", namespace: "shop", environments: ["dev"] }),
      "deploy/namespace.yaml": namespace("shop"),
      "deploy/web.yaml": `${deployment("web", "registry.example/web:1")}---\n${service("web")}`,
      "deploy/settings.yaml": configMap("settings", { level: "info" }),
    },
    "the shop",
  );
  await world.until("the shop to be there", async () => (await get("Deployment", "web")) !== undefined);
  expect(await get("Service", "web")).toBeDefined();
  await world.until("the status to say so", async () => (await world.status()).rows[0]?.revisions.length === 1);
});
