import { generateKeyPairSync } from "node:crypto";
import { expect, test } from "vitest";
import { createSimulatedCluster } from "#agent/cluster/simulated/simulated.ts";
import { clusterId } from "#proto/ids.ts";
import type { KubeObject } from "#proto/object.ts";
import { ensureNamespace, readKeys, UnreadableKeys, writeKeys, type AgentKeys } from "./keys.ts";

const namespace = "plumbline-agent";
const keys: AgentKeys = {
  hub: "hub:8443",
  cluster: clusterId("eu-1"),
  tlsKeyPem: "tls key",
  csrPem: "request",
  certificatePem: "certificate",
  caPem: "ca",
  sealingKey: generateKeyPairSync("x25519").privateKey,
  nkeySeed: "seed",
  natsJwt: "jwt",
  natsUrls: ["tls://hub:4222"],
  rootKey: Buffer.alloc(32, 1),
  notAfterMs: 1,
};

async function stored() {
  const cluster = createSimulatedCluster().connect();
  await ensureNamespace(cluster, namespace);
  await writeKeys(cluster, namespace, keys);
  const secret = (await cluster.get({
    apiVersion: "v1",
    group: "",
    kind: "Secret",
    namespace,
    name: "plumbline-keys",
  })) as KubeObject & { data: Record<string, string> };
  return { cluster, secret };
}

test("keys that were written are read", async () => {
  const { cluster } = await stored();
  const read = await readKeys(cluster, namespace);
  expect(read).toMatchObject({
    kind: "joined",
    keys: { hub: "hub:8443", cluster: "eu-1", natsUrls: ["tls://hub:4222"] },
  });
});

test.each([
  ["sealingKey", "bm90LWEta2V5"],
  ["sealingKey", ""],
  ["cluster", "Tm90IEEgTmFtZQ=="],
  ["rootKey", "AAEC"],
  ["natsJwt", ""],
  ["hub", ""],
])("a damaged %s is named with its Secret, and not told", async (field, value) => {
  const { cluster, secret } = await stored();
  await cluster.replace({ ...secret, data: { ...secret.data, [field]: value } });
  const failed = await readKeys(cluster, namespace).catch((error: unknown) => error);
  expect(failed).toBeInstanceOf(UnreadableKeys);
  expect((failed as Error).message).toContain(`plumbline-agent/plumbline-keys: field ${field} cannot be read`);
  expect((failed as Error).cause).toBeUndefined();
});
