import {
  createCipheriv,
  createDecipheriv,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
} from "node:crypto";
import type { BundleDigest, ClusterId } from "#proto/ids.ts";

/** What a sealed key is for; sealing binds it, so a key cannot be moved to another cluster or bundle. */
export type KeyContext = { readonly cluster: ClusterId; readonly digest: BundleDigest };

const info = "plumbline.dev/sealed-key/v1";
const publicBytes = 32;
const tagBytes = 16;
const keyBytes = 32;
// Each sealing makes a fresh ephemeral key, so the derived key is used once and the nonce may be constant.
const zeroNonce = Buffer.alloc(12);

/** A sealed key that does not open here: another cluster's, another bundle's, or damaged. */
export class SealRefused extends Error {
  override readonly name = "SealRefused";
}

/** Seals a 32-byte content key to a cluster's raw X25519 key: ephemeral public key (32), ciphertext (32), tag (16). */
export function sealKey(contentKey: Uint8Array, recipient: Uint8Array, context: KeyContext): Buffer {
  const ephemeral = generateKeyPairSync("x25519");
  const shared = diffieHellman({ privateKey: ephemeral.privateKey, publicKey: x25519PublicKey(recipient) });
  const cipher = createCipheriv("aes-256-gcm", derive(shared, context), zeroNonce);
  const sealed = Buffer.concat([cipher.update(contentKey), cipher.final(), cipher.getAuthTag()]);
  return Buffer.concat([rawX25519(ephemeral.publicKey), sealed]);
}

/** The content key. Throws SealRefused. */
export function openKey(sealed: Uint8Array, privateKey: KeyObject, context: KeyContext): Buffer {
  if (sealed.length !== publicBytes + keyBytes + tagBytes) throw new SealRefused("sealed key has a wrong length");
  try {
    const publicKey = x25519PublicKey(sealed.subarray(0, publicBytes));
    const decipher = createDecipheriv(
      "aes-256-gcm",
      derive(diffieHellman({ privateKey, publicKey }), context),
      zeroNonce,
    );
    decipher.setAuthTag(sealed.subarray(-tagBytes));
    return Buffer.concat([decipher.update(sealed.subarray(publicBytes, -tagBytes)), decipher.final()]);
  } catch (cause) {
    throw new SealRefused(`content key of bundle ${context.digest.slice(0, 12)} is not sealed to this cluster`, {
      cause,
    });
  }
}

/** The raw 32 bytes of an X25519 public key. */
export const rawX25519 = (key: KeyObject): Buffer =>
  Buffer.from((key.type === "private" ? createPublicKey(key) : key).export({ format: "jwk" }).x ?? "", "base64url");

const x25519PublicKey = (raw: Uint8Array): KeyObject =>
  createPublicKey({ key: { kty: "OKP", crv: "X25519", x: Buffer.from(raw).toString("base64url") }, format: "jwk" });

const derive = (shared: Buffer, { cluster, digest }: KeyContext): Buffer =>
  Buffer.from(hkdfSync("sha256", shared, `${cluster}\n${digest}`, info, 32));
