import { createHash } from "node:crypto";
import { gitNamespace, type AllowedSigner } from "./allowed-signers.ts";
import { fingerprintOf } from "./ssh-key.ts";
import { readWhole, sshString } from "./ssh-wire.ts";

export const sshBegin = "-----BEGIN SSH SIGNATURE-----";
export const sshEnd = "-----END SSH SIGNATURE-----";
const magic = Buffer.from("SSHSIG");
const version = 1;

export type SshSignature = {
  readonly publicKey: Buffer;
  readonly fingerprint: string;
  readonly namespace: string;
  readonly hash: "sha256" | "sha512";
  readonly signature: Buffer;
};

/** Reads an armoured SSHSIG (OpenSSH's PROTOCOL.sshsig); undefined when it is none. */
export function readSshSignature(armoured: string): SshSignature | undefined {
  const text = armoured.trim();
  if (!text.startsWith(sshBegin) || !text.endsWith(sshEnd)) return undefined;
  const body = text.slice(sshBegin.length, -sshEnd.length).replaceAll(/\s/g, "");
  if (!/^[A-Za-z0-9+/]+=*$/.test(body)) return undefined;
  const bytes = Buffer.from(body, "base64");
  if (!bytes.subarray(0, 6).equals(magic) || bytes.length < 10 || bytes.readUInt32BE(6) !== version) return undefined;
  const fields = readWhole(bytes.subarray(10), 5);
  if (fields === undefined) return undefined;
  const [publicKey, namespace, , hashName, signature] = fields as [Buffer, Buffer, Buffer, Buffer, Buffer];
  const hash = hashName.toString("latin1");
  if (hash !== "sha256" && hash !== "sha512") return undefined;
  return {
    publicKey,
    fingerprint: fingerprintOf(publicKey),
    namespace: namespace.toString("latin1"),
    hash,
    signature,
  };
}

/** What an SSHSIG is over: not the message, but a frame around its hash. */
export const framedForSshSignature = (namespace: string, hash: SshSignature["hash"], payload: Uint8Array): Buffer =>
  Buffer.concat([magic, ...[namespace, "", hash, createHash(hash).update(payload).digest()].map(sshString)]);

/** Undefined when this key made the signature over these bytes at a time at which it counts. */
export function checkSshSignature(
  signer: AllowedSigner,
  signature: SshSignature,
  payload: Buffer,
  atMs: number,
): string | undefined {
  if (signature.namespace !== gitNamespace)
    return `its signature is for ${JSON.stringify(signature.namespace)}, not for git`;
  const framed = framedForSshSignature(signature.namespace, signature.hash, payload);
  const problem = signer.key.check(signature.signature, framed);
  if (problem !== undefined) return problem;
  const { validAfterMs, validBeforeMs } = signer;
  if (validAfterMs !== null && atMs < validAfterMs)
    return `its key counts from ${dayOf(validAfterMs)} on, and it is of ${dayOf(atMs)}`;
  // As OpenSSH has it: at the moment itself the key still counts.
  if (validBeforeMs !== null && atMs > validBeforeMs)
    return `its key expired on ${dayOf(validBeforeMs)}, and it is of ${dayOf(atMs)}`;
  return undefined;
}

export const dayOf = (ms: number): string =>
  new Date(ms).toISOString().slice(0, 16).replace("T", " ").replace(" 00:00", "");
