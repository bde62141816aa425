import { createHmac, randomUUID, timingSafeEqual } from "node:crypto";
import { clusterId, type ClusterId } from "#proto/ids.ts";
import { canonicalJson } from "#proto/json.ts";

/** Longest life of a join token: long enough to paste it into a terminal, short enough to be worthless in a log. */
export const joinTokenLifeMs = 60 * 60 * 1000;

export type JoinToken = { readonly cluster: ClusterId; readonly jti: string; readonly notAfterMs: number };
export type TokenCheck =
  | { readonly ok: true; readonly token: JoinToken }
  | { readonly ok: false; readonly because: string };

const prefix = "plj1.";

/** A stateless join token: whoever holds it may enrol as that cluster once, until it ends. */
export function mintJoinToken(cluster: ClusterId, secret: Uint8Array, nowMs: number): string {
  const body = Buffer.from(canonicalJson({ cluster, jti: randomUUID(), notAfterMs: nowMs + joinTokenLifeMs }));
  return `${prefix}${body.toString("base64url")}.${mac(body, secret).toString("base64url")}`;
}

export function checkJoinToken(text: string, secret: Uint8Array, nowMs: number): TokenCheck {
  const [body = "", signature = "", ...more] = text.startsWith(prefix) ? text.slice(prefix.length).split(".") : [];
  const bytes = Buffer.from(body, "base64url");
  const given = Buffer.from(signature, "base64url");
  const expected = mac(bytes, secret);
  if (more.length > 0 || given.length !== expected.length || !timingSafeEqual(given, expected))
    return { ok: false, because: "the join token is not of this hub" };
  const { cluster, jti, notAfterMs } = JSON.parse(bytes.toString("utf8")) as {
    cluster: string;
    jti: string;
    notAfterMs: number;
  };
  if (nowMs > notAfterMs)
    return { ok: false, because: `the join token has ended: run plumb cluster register ${cluster} again` };
  return { ok: true, token: { cluster: clusterId(cluster), jti, notAfterMs } };
}

const mac = (body: Uint8Array, secret: Uint8Array): Buffer =>
  createHmac("sha256", secret).update("plumbline.dev/join-token/v1\n").update(body).digest();
