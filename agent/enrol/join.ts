import "reflect-metadata";
import { generateKeyPairSync, KeyObject, webcrypto } from "node:crypto";
import { createUser, fromSeed } from "@nats-io/nkeys";
import * as x509 from "@peculiar/x509";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { withCredentials } from "#agent/enrol/credentials.ts";
import { enrol, pinnedCa, WrongHub } from "#agent/enrol/hub-client.ts";
import { ensureNamespace, readKeys, writeKeys, type AgentKeys, type DraftKeys } from "#agent/enrol/keys.ts";
import { rawX25519 } from "#proto/sealed-key.ts";
import { fingerprintOf } from "#proto/fingerprint.ts";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** What a join line carries. */
export type JoinLine = {
  /** "host:port" of the hub's gRPC. */
  readonly hub: string;
  readonly token: string;
  /** "sha256:<hex>" of the hub's CA certificate. */
  readonly caPin: string;
  /** "sha256:<hex>" of the root key that signs what this agent will do. */
  readonly root: string;
};

/**
 * Makes this cluster's keys, keeps them, and has the hub put them on record. Run again with the same line it takes up
 * where it stopped. Throws EnrolmentRefused, WrongHub.
 */
export async function join(cluster: Cluster, namespace: string, line: JoinLine): Promise<AgentKeys> {
  await ensureNamespace(cluster, namespace);
  const stored = await readKeys(cluster, namespace);
  if (stored.kind === "joined") return stored.keys;
  const draft = stored.kind === "draft" && stored.keys.hub === line.hub ? stored.keys : await createKeys(line.hub);
  await writeKeys(cluster, namespace, draft);
  const caPem = await pinnedCa(line.hub, line.caPin);
  const granted = await enrol(line.hub, caPem, {
    token: line.token,
    csrPem: draft.csrPem,
    ...publicKeysOf(draft),
  });
  if (fingerprintOf(granted.rootKey) !== line.root)
    throw new WrongHub("the hub's root key is not the one that the join line names");
  const keys = withCredentials(draft, granted);
  await writeKeys(cluster, namespace, keys);
  return keys;
}

/** What of an agent's keys goes on record beside that of its certificate request. */
export const publicKeysOf = ({ nkeySeed, sealingKey }: DraftKeys): { nkey: string; sealingKey: Buffer } => ({
  nkey: fromSeed(Buffer.from(nkeySeed)).getPublicKey(),
  sealingKey: rawX25519(sealingKey),
});

/** New keys of every kind for an agent of the hub at "host:port". */
export async function createKeys(hub: string): Promise<DraftKeys> {
  x509.cryptoProvider.set(webcrypto as unknown as Parameters<typeof x509.cryptoProvider.set>[0]);
  const tls = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: "CN=plumbline-agent",
    keys: tls,
    signingAlgorithm: algorithm,
  });
  const tlsKeyPem = KeyObject.from(tls.privateKey).export({ type: "pkcs8", format: "pem" }) as string;
  return {
    hub,
    tlsKeyPem,
    csrPem: request.toString("pem"),
    sealingKey: generateKeyPairSync("x25519").privateKey,
    nkeySeed: new TextDecoder().decode(createUser().getSeed()),
  };
}
