import { createHmac, randomUUID, timingSafeEqual } from "node:crypto";
import { clusterId, type ClusterId } from "#proto/ids.ts";

/** Longest life of a join token: long enough to paste it into a terminal, short enough to be worthless in a log. */
export const joinTokenLifeMs = 60 * 60 * 1000;

/** What the people of a cluster let its agent do, as `plumb cluster register --profile tenant` takes it. */
export type TenantProfile = {
  /** Of which each exists, or is made by the manifests. */
  readonly namespaces: readonly string[];
  /** "apps/Deployment", "ConfigMap", "example.com/Mouse=mice" where the plural is not the usual one. */
  readonly kinds: readonly string[];
  /** "namespace/name": further ServiceAccounts that Applications may name. */
  readonly serviceAccounts: readonly string[];
};

/** Together with the rest a token fits into the 8 KiB that proxies take as a request's line. */
export const tenantBytesLimit = 5 * 1024;

/** How much of a token this profile is. */
export const tenantBytes = (tenant: TenantProfile): number => Buffer.byteLength(JSON.stringify(tenant));

export type JoinToken = {
  readonly cluster: ClusterId;
  readonly jti: string;
  readonly notAfterMs: number;
  /** Whoever holds the token gets the manifests of this profile and of no other; without it, an admin's. */
  readonly tenant?: TenantProfile;
};
export type TokenCheck =
  | { readonly ok: true; readonly token: JoinToken }
  | { readonly ok: false; readonly because: string };

const prefix = "plj1.";

/** A stateless join token: whoever holds it may enrol as that cluster once, until it ends. */
export function mintJoinToken(cluster: ClusterId, secret: Uint8Array, nowMs: number, tenant?: TenantProfile): string {
  const token = { cluster, jti: randomUUID(), notAfterMs: nowMs + joinTokenLifeMs, ...(tenant && { tenant }) };
  const body = Buffer.from(JSON.stringify(token));
  return `${prefix}${body.toString("base64url")}.${mac(body, secret).toString("base64url")}`;
}

export function checkJoinToken(text: string, secret: Uint8Array, nowMs: number): TokenCheck {
  const [body = "", signature = "", ...more] = text.startsWith(prefix) ? text.slice(prefix.length).split(".") : [];
  const bytes = Buffer.from(body, "base64url");
  const given = Buffer.from(signature, "base64url");
  const expected = mac(bytes, secret);
  if (more.length > 0 || given.length !== expected.length || !timingSafeEqual(given, expected))
    return { ok: false, because: "the join token is not of this hub" };
  const { cluster, jti, notAfterMs, tenant } = JSON.parse(bytes.toString("utf8")) as JoinToken;
  if (nowMs > notAfterMs)
    return { ok: false, because: `the join token has ended: run plumb cluster register ${cluster} again` };
  return { ok: true, token: { cluster: clusterId(cluster), jti, notAfterMs, ...(tenant && { tenant }) } };
}

const mac = (body: Uint8Array, secret: Uint8Array): Buffer =>
  createHmac("sha256", secret).update("plumbline.dev/join-token/v1\n").update(body).digest();
