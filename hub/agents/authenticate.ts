import { X509Certificate, type KeyObject } from "node:crypto";
import { clusterId, isDnsLabel, type ClusterId } from "#proto/ids.ts";

export type KeyOnRecord = { readonly spki: string; readonly revoked: unknown };
export type Caller =
  | { readonly ok: true; readonly cluster: ClusterId }
  | { readonly ok: false; readonly because: string };

/** A CA as its certificate says it, read once: thousands of agents come back at the same time. */
export type Authority = { readonly certificate: X509Certificate; readonly publicKey: KeyObject };

export function authorityOf(pem: string): Authority {
  const certificate = new X509Certificate(pem);
  return { certificate, publicKey: certificate.publicKey };
}

const spiffe = /^URI:spiffe:\/\/plumbline\/cluster\/([a-z0-9-]+)$/;

/**
 * Who holds this certificate: the CA's own signature, its dates, exactly one SPIFFE URI and no other name, and the very
 * public key on record. The CA's signature alone proves nothing: an older key of the same cluster also has it.
 */
export function authenticate(
  certificate: Uint8Array | undefined,
  options: {
    readonly ca: Authority;
    readonly nowMs: number;
    readonly record: (cluster: ClusterId) => KeyOnRecord | undefined;
  },
): Caller {
  if (certificate === undefined) return refuse("a client certificate is needed");
  const own = new X509Certificate(certificate);
  if (own.ca || !own.checkIssued(options.ca.certificate) || !own.verify(options.ca.publicKey))
    return refuse("certificate is not of this hub's CA");
  if (options.nowMs < own.validFromDate.getTime()) return refuse(`certificate is not valid before ${own.validFrom}`);
  if (options.nowMs > own.validToDate.getTime()) return refuse(`certificate ended ${own.validTo}: renew it`);
  const name = spiffe.exec(own.subjectAltName ?? "")?.[1];
  if (name === undefined || !isDnsLabel(name)) return refuse("certificate must name one cluster by its SPIFFE URI");
  const cluster = clusterId(name);
  const record = options.record(cluster);
  if (!record) return refuse(`${cluster} has no key on record`);
  if (record.revoked !== null) return refuse(`${cluster} is revoked`);
  const spki = own.publicKey.export({ type: "spki", format: "der" }).toString("base64");
  return spki === record.spki ? { ok: true, cluster } : refuse(`${cluster} has another key on record`);
}

const refuse = (because: string): Caller => ({ ok: false, because });
