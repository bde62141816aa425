import { createHash } from "node:crypto";
import type { NatsSigner } from "#hub/identity/nats-keys.ts";

/** What NATS calls claims, spelled as its own JWT library spells them (github.com/nats-io/jwt/v2). */
export type Claims = {
  readonly sub: string;
  readonly name: string;
  readonly iat: number;
  readonly exp?: number;
  readonly nats: Readonly<Record<string, unknown>> & { readonly type: "operator" | "account" | "user" };
};

const header = encode({ typ: "JWT", alg: "ed25519-nkey" });

/** A NATS JWT of version 2. Equal claims give an equal JWT, which is how a server knows it has them already. */
export function mint(claims: Claims, issuer: NatsSigner): string {
  const body = { ...claims, iss: issuer.id, nats: { ...claims.nats, version: 2 } };
  const jti = base32(createHash("sha512-256").update(JSON.stringify(body)).digest());
  const signed = `${header}.${encode({ ...body, jti })}`;
  return `${signed}.${issuer.sign(Buffer.from(signed)).toString("base64url")}`;
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

function base32(bytes: Uint8Array): string {
  const bits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, "0")).join("");
  const groups = bits.match(/.{1,5}/g) ?? [];
  return groups.map((group) => alphabet[Number.parseInt(group.padEnd(5, "0"), 2)]).join("");
}
