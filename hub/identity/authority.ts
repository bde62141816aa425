import "reflect-metadata";
import { createPrivateKey, createPublicKey, KeyObject, randomBytes, webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";
import type { ClusterId } from "#proto/ids.ts";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const dayMs = 86_400_000;
/** The CA is replaced with the identity, not renewed: ten years. */
const authorityLifeMs = 3650 * dayMs;
/** A server certificate is made at each start, in memory; a process that runs for longer than this is restarted sooner. */
const serverLifeMs = 365 * dayMs;
/** Agents renew at half of this. Short, because a stolen certificate cannot be called back faster than the record. */
export const clientLifeMs = 7 * dayMs;
/** Clocks of agents may be behind ours. */
const skewMs = 5 * 60_000;

x509.cryptoProvider.set(webcrypto as unknown as Parameters<typeof x509.cryptoProvider.set>[0]);

export type AuthorityKeys = { readonly certificatePem: string; readonly keyPem: string };
export type ServerCertificate = { readonly certificatePem: string; readonly keyPem: string };
export type ClientCertificate = { readonly certificatePem: string; readonly notAfterMs: number };

/** The one CA of the hub: its own servers' certificates, and those of agents. */
export type Authority = {
  readonly certificatePem: string;
  issueServer(names: readonly string[], nowMs: number): Promise<ServerCertificate>;
  /** For the key of the request and the name of the record; the request's own subject counts for nothing. */
  issueClient(csrPem: string, cluster: ClusterId, nowMs: number): Promise<ClientCertificate>;
};

/** A certificate request that cannot be used. */
export class BadRequest extends Error {
  override readonly name = "BadRequest";
}

export async function createAuthority(nowMs: number): Promise<AuthorityKeys> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: "CN=plumbline",
    notBefore: new Date(nowMs - skewMs),
    notAfter: new Date(nowMs + authorityLifeMs),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificatePem: certificate.toString("pem"), keyPem: pemOf(keys.privateKey) };
}

export async function openAuthority({ certificatePem, keyPem }: AuthorityKeys): Promise<Authority> {
  const certificate = new x509.X509Certificate(certificatePem);
  const signingKey = await webcrypto.subtle.importKey(
    "pkcs8",
    createPrivateKey(keyPem).export({ type: "pkcs8", format: "der" }),
    algorithm,
    false,
    ["sign"],
  );
  const issue = async (
    publicKey: webcrypto.CryptoKey,
    name: string,
    validity: { notBefore: Date; notAfter: Date },
    usage: x509.ExtendedKeyUsage,
    names: { type: "dns" | "ip" | "url"; value: string }[],
  ): Promise<string> => {
    const issued = await x509.X509CertificateGenerator.create({
      ...validity,
      serialNumber: serial(),
      subject: `CN=${name}`,
      issuer: certificate.subject,
      publicKey,
      signingKey,
      signingAlgorithm: algorithm,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([usage]),
        new x509.SubjectAlternativeNameExtension(names),
        await x509.AuthorityKeyIdentifierExtension.create(certificate),
      ],
    });
    return issued.toString("pem");
  };
  return {
    certificatePem,
    async issueServer(names, nowMs) {
      const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
      const alternatives = names.map((value) => ({ type: isAddress(value) ? "ip" : "dns", value }) as const);
      const serverAuth = x509.ExtendedKeyUsage.serverAuth;
      const life = validity(nowMs, serverLifeMs);
      return {
        certificatePem: await issue(keys.publicKey, "plumbline-hub", life, serverAuth, alternatives),
        keyPem: pemOf(keys.privateKey),
      };
    },
    async issueClient(csrPem, cluster, nowMs) {
      const request = await readRequest(csrPem);
      const life = validity(nowMs, clientLifeMs);
      const uri = { type: "url", value: `spiffe://plumbline/cluster/${cluster}` } as const;
      const key = await request.publicKey.export();
      const issued = await issue(key as webcrypto.CryptoKey, cluster, life, x509.ExtendedKeyUsage.clientAuth, [uri]);
      return { certificatePem: issued, notAfterMs: life.notAfter.getTime() };
    },
  };
}

/** SubjectPublicKeyInfo of the request's key, DER in base64: what the record keeps. Throws BadRequest. */
export async function requestedKey(csrPem: string): Promise<string> {
  const request = await readRequest(csrPem);
  const key = createPublicKey({ key: Buffer.from(request.publicKey.rawData), type: "spki", format: "der" });
  if (key.asymmetricKeyType !== "ec" || key.asymmetricKeyDetails?.namedCurve !== "prime256v1")
    throw new BadRequest("the certificate request must hold a P-256 key");
  return key.export({ type: "spki", format: "der" }).toString("base64");
}

async function readRequest(csrPem: string): Promise<x509.Pkcs10CertificateRequest> {
  try {
    const request = new x509.Pkcs10CertificateRequest(csrPem);
    if (await request.verify()) return request;
  } catch (cause) {
    throw new BadRequest("the certificate request cannot be read", { cause });
  }
  throw new BadRequest("the certificate request is not signed by its own key");
}

const isAddress = (name: string): boolean => /^[\d.]+$/.test(name) || name.includes(":");
const pemOf = (key: webcrypto.CryptoKey): string =>
  KeyObject.from(key).export({ type: "pkcs8", format: "pem" }) as string;
// A positive serial of 16 bytes: the first bit clear, the first byte not zero.
const serial = (): string => `1${randomBytes(16).toString("hex").slice(1)}`;
const validity = (nowMs: number, lifeMs: number): { notBefore: Date; notAfter: Date } => ({
  notBefore: new Date(nowMs - skewMs),
  notAfter: new Date(nowMs + lifeMs),
});
