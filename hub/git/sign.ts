import { createHash, sign, verify, type KeyObject } from "node:crypto";
import { publicKeyOf, rawPublicKey } from "#proto/envelope.ts";

/** Signs commits as `git verify-commit` checks them with gpg.format=ssh. */
export type GitSigner = {
  /** "ssh-ed25519 AAAA...": for an allowed-signers file. */
  readonly publicKey: string;
  /** An armoured SSHSIG over the commit's text. */
  sign(payload: Uint8Array): string;
};

const begin = "-----BEGIN SSH SIGNATURE-----";
const end = "-----END SSH SIGNATURE-----";
const namespace = "git";

export function createGitSigner(privateKey: KeyObject): GitSigner {
  const blob = publicBlob(rawPublicKey(privateKey));
  return {
    publicKey: `ssh-ed25519 ${blob.toString("base64")}`,
    sign(payload) {
      const signature = Buffer.concat([field("ssh-ed25519"), field(sign(null, toSign(payload), privateKey))]);
      const body = Buffer.concat([
        Buffer.from("SSHSIG"),
        Buffer.from([0, 0, 0, 1]),
        ...[blob, namespace, "", "sha512", signature].map(field),
      ]);
      const lines = body.toString("base64").match(/.{1,70}/g) ?? [];
      return [begin, ...lines, end].join("\n");
    },
  };
}

/** Whether a raw commit object is signed by this ed25519 key ("ssh-ed25519 AAAA..."). */
export function isSignedBy(commit: string, publicKey: string): boolean {
  const headEnd = commit.indexOf("\n\n");
  const found = /\ngpgsig ((?:.*)(?:\n .*)*)/.exec(commit.slice(0, headEnd));
  if (found === null) return false;
  const payload = commit.slice(0, found.index) + commit.slice(found.index + found[0].length);
  const armoured = found[1]!.replaceAll("\n ", "\n");
  const body = Buffer.from(armoured.replace(begin, "").replace(end, "").replaceAll(/\s/g, ""), "base64");
  if (body.subarray(0, 6).toString() !== "SSHSIG") return false;
  const [key, signedNamespace, , hash, signature] = fieldsOf(body.subarray(10));
  const expected = Buffer.from(publicKey.split(" ")[1] ?? "", "base64");
  if (key === undefined || signature === undefined || !key.equals(expected)) return false;
  if (signedNamespace?.toString() !== namespace || hash?.toString() !== "sha512") return false;
  const [, raw] = fieldsOf(signature);
  const [, rawKey] = fieldsOf(key);
  return (
    raw !== undefined && rawKey !== undefined && verify(null, toSign(Buffer.from(payload)), publicKeyOf(rawKey), raw)
  );
}

// PROTOCOL.sshsig of OpenSSH: what is signed is not the message but a frame around its hash.
const toSign = (payload: Uint8Array): Buffer =>
  Buffer.concat([
    Buffer.from("SSHSIG"),
    ...[namespace, "", "sha512", createHash("sha512").update(payload).digest()].map(field),
  ]);

const publicBlob = (raw: Uint8Array): Buffer => Buffer.concat([field("ssh-ed25519"), field(raw)]);

function field(value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value as string);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function fieldsOf(bytes: Buffer): Buffer[] {
  const fields: Buffer[] = [];
  for (let at = 0; at + 4 <= bytes.length;) {
    const length = bytes.readUInt32BE(at);
    if (at + 4 + length > bytes.length) break;
    fields.push(bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return fields;
}
