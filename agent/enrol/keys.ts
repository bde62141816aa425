import { createPrivateKey, type KeyObject } from "node:crypto";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { ApiError } from "#agent/cluster/errors.ts";
import { clusterId, type ClusterId } from "#proto/ids.ts";
import type { KubeObject } from "#proto/object.ts";

/** What an agent is known by, and how it reaches its hub: one Secret in its own namespace. */
export type AgentKeys = {
  /** "host:port" of the hub's gRPC. */
  readonly hub: string;
  readonly cluster: ClusterId;
  readonly tlsKeyPem: string;
  /** Kept, so that a renewal needs no certificate library. */
  readonly csrPem: string;
  readonly certificatePem: string;
  readonly caPem: string;
  readonly sealingKey: KeyObject;
  readonly nkeySeed: string;
  readonly natsJwt: string;
  readonly natsUrls: readonly string[];
  readonly rootKey: Uint8Array;
  readonly notAfterMs: number;
};

/** Before the hub has answered: keys are kept first, so that an answer that got lost can be asked for again. */
export type DraftKeys = Pick<AgentKeys, "hub" | "tlsKeyPem" | "csrPem" | "sealingKey" | "nkeySeed">;

export type StoredKeys =
  | { readonly kind: "none" }
  | { readonly kind: "draft"; readonly keys: DraftKeys }
  | { readonly kind: "joined"; readonly keys: AgentKeys };

const secretName = "plumbline-keys";
/** Ed25519, raw. */
const rootKeyBytes = 32;

/** Somebody damaged the Secret: only who has a copy of it, or a new join, helps. */
export class UnreadableKeys extends Error {
  override readonly name = "UnreadableKeys";
}

export async function readKeys(cluster: Cluster, namespace: string, signal?: AbortSignal): Promise<StoredKeys> {
  const secret = await cluster.get(addressIn(namespace), signal);
  if (secret === undefined) return { kind: "none" };
  return keysOf((secret["data"] ?? {}) as Record<string, string>, namespace);
}

function keysOf(data: Record<string, string>, namespace: string): StoredKeys {
  const unreadable = (field: string, cause?: unknown): UnreadableKeys =>
    new UnreadableKeys(
      `Secret ${namespace}/${secretName}: field ${field} cannot be read; put the Secret back, or delete it, revoke this cluster and join it again: nothing is deleted meanwhile`,
      { cause },
    );
  const text = (field: string): string => {
    const found = Buffer.from(data[field] ?? "", "base64").toString("utf8");
    if (found === "") throw unreadable(field);
    return found;
  };
  const read = <T>(field: string, parse: (text: string) => T): T => {
    try {
      return parse(text(field));
    } catch (error) {
      // What a parser says may quote a key.
      throw error instanceof UnreadableKeys ? error : unreadable(field);
    }
  };
  const draft: DraftKeys = {
    hub: text("hub"),
    tlsKeyPem: text("tlsKey"),
    csrPem: text("csr"),
    sealingKey: read("sealingKey", createPrivateKey),
    nkeySeed: text("nkeySeed"),
  };
  if (data["certificate"] === undefined) return { kind: "draft", keys: draft };
  const rootKey = Buffer.from(data["rootKey"] ?? "", "base64");
  if (rootKey.length !== rootKeyBytes) throw unreadable("rootKey");
  const keys = {
    ...draft,
    cluster: read("cluster", clusterId),
    certificatePem: text("certificate"),
    caPem: text("ca"),
    natsJwt: text("natsJwt"),
    natsUrls: text("natsUrls").split(",").filter(Boolean),
    rootKey,
    notAfterMs: read("notAfterMs", Number),
  };
  return { kind: "joined", keys };
}

export async function writeKeys(
  cluster: Cluster,
  namespace: string,
  keys: AgentKeys | DraftKeys,
  signal?: AbortSignal,
): Promise<void> {
  const fields: Record<string, string | Uint8Array> = {
    hub: keys.hub,
    tlsKey: keys.tlsKeyPem,
    csr: keys.csrPem,
    sealingKey: keys.sealingKey.export({ type: "pkcs8", format: "pem" }),
    nkeySeed: keys.nkeySeed,
  };
  if ("certificatePem" in keys) {
    fields["cluster"] = keys.cluster;
    fields["certificate"] = keys.certificatePem;
    fields["ca"] = keys.caPem;
    fields["natsJwt"] = keys.natsJwt;
    fields["natsUrls"] = keys.natsUrls.join(",");
    fields["rootKey"] = keys.rootKey;
    fields["notAfterMs"] = String(keys.notAfterMs);
  }
  const data = Object.fromEntries(
    Object.entries(fields).map(([field, value]) => [field, Buffer.from(value as string).toString("base64")]),
  );
  const secret: KubeObject = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: secretName, namespace },
    type: "plumbline.dev/keys",
    data,
  };
  const there = await cluster.get(addressIn(namespace), signal);
  if (there === undefined) {
    await cluster.create(secret, signal);
    return;
  }
  const { resourceVersion } = there.metadata;
  await cluster.replace(
    { ...secret, metadata: { ...secret.metadata, ...(resourceVersion && { resourceVersion }) } },
    signal,
  );
}

/** Makes the agent's own namespace when it is not there: a join from a workstation starts from nothing. */
export async function ensureNamespace(cluster: Cluster, namespace: string, signal?: AbortSignal): Promise<void> {
  try {
    await cluster.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } }, signal);
  } catch (error) {
    // A tenant may make no Namespace; where its own is missing, the write of the keys says so.
    if (!(error instanceof ApiError) || (error.status !== 409 && error.status !== 403)) throw error;
  }
}

const addressIn = (namespace: string) => ({
  apiVersion: "v1",
  group: "",
  kind: "Secret",
  namespace,
  name: secretName,
});
