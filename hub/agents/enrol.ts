import { createPublicKey, verify } from "node:crypto";
import { BadRequest, requestedKey, type Authority } from "#hub/identity/authority.ts";
import type { NatsIdentity } from "#hub/identity/nats-jwt.ts";
import type { ClusterRecord } from "#hub/decide/record.ts";
import type { Credentials, EnrolRequest, RenewRequest } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { clusterId, isDnsLabel, type ClusterId } from "#proto/ids.ts";
import { checkJoinToken } from "#proto/token.ts";
import { renewalText } from "#proto/renewal.ts";

/** How far the clock of an agent that renews may be from ours. */
const renewalSkewMs = 5 * 60_000;
const sealingKeyBytes = 32;

export type EnrolmentOptions = {
  readonly identity: {
    readonly authority: Authority;
    readonly nats: Pick<NatsIdentity, "agentJwt">;
    readonly tokenSecret: Uint8Array;
    readonly rootKey: Uint8Array;
  };
  readonly now: () => number;
  /** Whether `main` declares this cluster. */
  readonly isDeclared: (cluster: ClusterId) => boolean;
  readonly record: (cluster: ClusterId) => ClusterRecord | undefined;
  /** Pushes the keys onto the record; "taken" when somebody's keys are there already. This is what uses a token up. */
  readonly accept: (record: ClusterRecord) => Promise<"recorded" | "taken">;
  readonly natsUrls: () => readonly string[];
};

export type Enrolled =
  | { readonly ok: true; readonly credentials: Credentials }
  | { readonly ok: false; readonly because: string };

export type Enrolment = {
  enrol(request: EnrolRequest): Promise<Enrolled>;
  renew(request: RenewRequest): Promise<Enrolled>;
};

export function createEnrolment(options: EnrolmentOptions): Enrolment {
  const { identity, now, isDeclared, record, accept } = options;

  const grant = async (cluster: ClusterId, csrPem: string, nkey: string): Promise<Enrolled> => {
    const certificate = await identity.authority.issueClient(csrPem, cluster, now());
    return {
      ok: true,
      credentials: {
        cluster,
        certificatePem: certificate.certificatePem,
        caPem: identity.authority.certificatePem,
        natsJwt: identity.nats.agentJwt(cluster, nkey, certificate.notAfterMs),
        natsUrls: [...options.natsUrls()],
        rootKey: Buffer.from(identity.rootKey),
        notAfterMs: BigInt(certificate.notAfterMs),
      },
    };
  };

  return {
    async enrol(request) {
      const check = checkJoinToken(request.token, identity.tokenSecret, now());
      if (!check.ok) return check;
      const { cluster, jti } = check.token;
      const keys = await keysOf(request);
      if ("because" in keys) return { ok: false, because: keys.because };
      if (!isDeclared(cluster)) return { ok: false, because: `${cluster} is not declared on main: register it first` };
      const known = record(cluster);
      if (known === undefined) {
        const fresh = { cluster, ...keys, jti, acceptedBy: "token", acceptedAtMs: now(), revoked: null };
        if ((await accept(fresh)) === "recorded") return grant(cluster, request.csrPem, keys.nkey);
      }
      // A lost answer is asked for again with the same keys: it gets the same answer. Anybody else gets none.
      const holder = record(cluster);
      const isSame = holder?.spki === keys.spki && holder.nkey === keys.nkey && holder.sealingKey === keys.sealingKey;
      if (isSame && holder.jti === jti && holder.revoked === null) return grant(cluster, request.csrPem, keys.nkey);
      if (holder?.revoked) return { ok: false, because: `${cluster} is revoked: register it anew under another name` };
      return { ok: false, because: `${cluster} has enrolled already: a token works once` };
    },
    async renew(request) {
      const holder = isDnsLabel(request.cluster) ? record(clusterId(request.cluster)) : undefined;
      if (holder === undefined) return { ok: false, because: "no such cluster has keys on record" };
      if (holder.revoked !== null) return { ok: false, because: `${holder.cluster} is revoked` };
      if (Math.abs(now() - Number(request.atMs)) > renewalSkewMs)
        return { ok: false, because: "the clock of the agent is more than 5 minutes from the hub's" };
      const key = createPublicKey({ key: Buffer.from(holder.spki, "base64"), type: "spki", format: "der" });
      const text = renewalText(holder.cluster, request.atMs, request.csrPem);
      if (!verify("sha256", text, key, request.proof) || (await keyOf(request.csrPem)) !== holder.spki)
        return { ok: false, because: `the request is not by the key on record of ${holder.cluster}` };
      return grant(holder.cluster, request.csrPem, holder.nkey);
    },
  };
}

type Keys = { readonly spki: string; readonly nkey: string; readonly sealingKey: string };

async function keysOf(request: EnrolRequest): Promise<Keys | { because: string }> {
  if (request.sealingKey.length !== sealingKeyBytes) return { because: "the sealing key must be a raw X25519 key" };
  if (!/^U[A-Z2-7]{55}$/.test(request.nkey)) return { because: "the nkey must be a NATS user key" };
  const spki = await keyOf(request.csrPem);
  if (spki === undefined) return { because: "the certificate request must hold a P-256 key and be signed by it" };
  return { spki, nkey: request.nkey, sealingKey: Buffer.from(request.sealingKey).toString("base64") };
}

async function keyOf(csrPem: string): Promise<string | undefined> {
  try {
    return await requestedKey(csrPem);
  } catch (error) {
    if (error instanceof BadRequest) return undefined;
    throw error;
  }
}
