import { expect, test } from "vitest";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { createSimulatedCluster } from "#agent/cluster/simulated/simulated.ts";
import { refOf, type KubeObject } from "#proto/object.ts";
import type { Authority } from "./authority.ts";
import { openWriter } from "./writer.ts";

const own = "plumbline-agent";
const configMap = (namespace: string): KubeObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "a", namespace },
});

/** A cluster that says in whose name each write arrives. */
function told() {
  const writes: string[] = [];
  const simulated = createSimulatedCluster().connect();
  const telling = (who: string): Cluster => ({
    ...simulated,
    as: (user) => telling(user),
    apply: async (object) => (writes.push(`${who} applies`), object),
    create: async (object) => (writes.push(`${who} creates`), object),
    replace: async (object) => (writes.push(`${who} replaces`), object),
    delete: async () => (writes.push(`${who} deletes`), "deleted"),
  });
  return { writes, cluster: telling("agent") };
}

/** Every way to write there is. */
function writeAll(cluster: Cluster, authority: Authority, account: string, object: KubeObject): Promise<unknown>[] {
  const writer = openWriter(cluster, authority, own, account);
  const address = { ...refOf(object), apiVersion: object.apiVersion };
  return [writer.apply(object), writer.create(object), writer.replace(object), writer.delete(address, { uid: "u" })];
}

const tenant: Authority = {
  profile: "tenant",
  limits: { kinds: "any", namespaces: ["shop"] },
  defaultServiceAccount: "",
};
const verbs = ["applies", "creates", "replaces", "deletes"];

test("every write for an Application is its ServiceAccount's", async () => {
  const { writes, cluster } = told();
  await Promise.all(writeAll(cluster, tenant, "shop/deployer", configMap("shop")));
  expect(writes).toEqual(verbs.map((verb) => `system:serviceaccount:shop:deployer ${verb}`));
});

test.each([
  ["outside what this cluster allows", "shop/deployer", configMap("default")],
  ["to the agent's own namespace", "shop/deployer", configMap(own)],
  ["without a ServiceAccount", "", configMap("shop")],
  ["as somebody whom nobody named", "kube-system/admin", configMap("shop")],
])("no write %s reaches the API server", async (_what, account, object) => {
  const { writes, cluster } = told();
  const ends = await Promise.allSettled(writeAll(cluster, tenant, account, object));
  for (const end of ends) expect(end).toMatchObject({ reason: { status: 403, reason: "NotAllowedHere" } });
  expect(ends).toHaveLength(verbs.length);
  expect(writes).toEqual([]);
});
