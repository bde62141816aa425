import { createCipheriv, createDecipheriv, createHash, hkdfSync } from "node:crypto";
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { blobAddress, bundleDigest, type BlobAddress, type BundleDigest } from "#proto/ids.ts";
import { isLeavingHook, isOnce } from "#proto/hooks.ts";
import { canonicalJson, parseJson, sha256Hex } from "#proto/json.ts";
import { describeRef, refKey, refOf, type KubeObject } from "#proto/object.ts";

/** One message of the broker: half of its default 1 MiB, so that headers and an operator's lower limit fit. */
export const sliceBytes = 512 * 1024;
/** Past these a bundle wants to be several Applications; each also bounds an agent's memory. */
export const bundleLimits = {
  objects: 5_000,
  plainBytes: 10 * 1024 * 1024,
  /** etcd's request limit is 1.5 MiB; the managedFields that the server adds need the rest. */
  objectBytes: 1024 * 1024,
  compressedBytes: 8 * 1024 * 1024,
} as const;

// Names the canonical form, so that a later form can never give a digest of this one.
const header = "plumbline.dev/bundle/v1\n";
// With objects that an agent which knows only the first form would make, or make again, at the wrong time: it refuses.
const laterHeader = "plumbline.dev/bundle/v2\n";
const keyInfo = "plumbline.dev/content-key/v1";
// The key is derived from the plaintext, so one key never meets a second plaintext and the nonce may be constant.
const zeroNonce = Buffer.alloc(12);
const tagBytes = 16;

export type SealedBundle = {
  readonly digest: BundleDigest;
  readonly address: BlobAddress;
  /** Ciphertext cut into pieces of at most `sliceBytes`. */
  readonly slices: readonly Buffer[];
  /** 32 bytes; opens the slices. Reaches a cluster only sealed to its own key. */
  readonly contentKey: Buffer;
  readonly objects: number;
  readonly plainBytes: number;
};

/** A bundle over a limit, or two objects that are one. The message names the objects. */
export class BundleProblem extends Error {
  override readonly name = "BundleProblem";
}

/** A blob that is not what the signed entry says. The last good bundle stays. */
export class BundleRefused extends Error {
  override readonly name = "BundleRefused";
}

/** An object's canonical JSON in UTF-8, or what remembers it: a bundle of megabytes is put together of such pieces. */
type BytesOf = (object: KubeObject) => Buffer;

export const canonicalBytes: BytesOf = (object) => Buffer.from(canonicalJson(object));

/**
 * The canonical bytes that a digest is of: the same objects in any order and key order give the same bytes. Of an object
 * that is created once only its identity counts, for its content may be another at each rendering.
 */
export const canonicalBundle = (objects: readonly KubeObject[], bytesOf: BytesOf = canonicalBytes): Buffer =>
  partsOf(objects, bytesOf).digested;

type Parts = { readonly digested: Buffer; readonly plain: Buffer };

function partsOf(objects: readonly KubeObject[], bytesOf: BytesOf): Parts {
  if (objects.length > bundleLimits.objects)
    throw new BundleProblem(`bundle has ${objects.length} objects, at most ${bundleLimits.objects} are allowed`);
  const texts = objects.map((object) => ({ key: refKey(refOf(object)), object, text: bytesOf(object) }));
  texts.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  for (const [index, { key, object, text }] of texts.entries()) {
    if (texts[index + 1]?.key === key) throw new BundleProblem(`${describeRef(refOf(object))} is in the bundle twice`);
    if (text.length > bundleLimits.objectBytes)
      throw new BundleProblem(`${describeRef(refOf(object))} is ${sizeOf(text)}, at most 1 MiB is allowed`);
  }
  const parts = objects.some((object) => isOnce(object) || isLeavingHook(object)) ? laterForm(texts) : firstForm(texts);
  if (parts.plain.length > bundleLimits.plainBytes)
    throw new BundleProblem(`bundle is ${mebibytes(parts.plain.length)}, at most 10 MiB is allowed; ${largest(texts)}`);
  return parts;
}

type Text = { readonly key: string; readonly object: KubeObject; readonly text: Buffer };

function firstForm(texts: readonly Text[]): Parts {
  const plain = Buffer.concat([Buffer.from(header), ...listOf(texts)]);
  return { digested: plain, plain };
}

/** Three lines of JSON: the objects of the digest; the identities, of the digest too, of those created once; these. */
function laterForm(texts: readonly Text[]): Parts {
  const once = texts.filter(({ object }) => isOnce(object));
  const rest = texts.filter(({ object }) => !isOnce(object));
  const identities = Buffer.from(`\n${JSON.stringify(once.map(({ key }) => key))}`);
  const digested = Buffer.concat([Buffer.from(laterHeader), ...listOf(rest), identities]);
  return { digested, plain: Buffer.concat([digested, Buffer.from("\n"), ...listOf(once)]) };
}

const listOf = (texts: readonly Text[]): Buffer[] => [
  Buffer.from("["),
  ...texts.flatMap(({ text }, n) => (n === 0 ? [text] : [comma, text])),
  Buffer.from("]"),
];
const comma = Buffer.from(",");

export const digestOf = (canonical: Uint8Array): BundleDigest => bundleDigest(sha256Hex(canonical));

/**
 * Compresses, encrypts and cuts a bundle. Everything is derived from the content and `contentSecret`, so a rebuilt hub
 * gives the same address and no agent fetches anything again.
 */
export function sealBundle(
  objects: readonly KubeObject[],
  contentSecret: Uint8Array,
  bytesOf: BytesOf = canonicalBytes,
): SealedBundle {
  const { digested, plain } = partsOf(objects, bytesOf);
  const compressed = zstdCompressSync(plain, { params: { [constants.ZSTD_c_compressionLevel]: 6 } });
  if (compressed.length > bundleLimits.compressedBytes)
    throw new BundleProblem(`bundle compresses to ${mebibytes(compressed.length)}, at most 8 MiB is allowed`);
  const contentKey = deriveKey(contentSecret, compressed);
  const cipher = createCipheriv("aes-256-gcm", contentKey, zeroNonce);
  const ciphertext = Buffer.concat([cipher.update(compressed), cipher.final(), cipher.getAuthTag()]);
  return {
    digest: digestOf(digested),
    address: addressOf([ciphertext]),
    slices: cut(ciphertext),
    contentKey,
    objects: objects.length,
    plainBytes: plain.length,
  };
}

/** Verifies address, then key, then digest. Throws BundleRefused; nothing is parsed before all three hold. */
export function openBundle(
  slices: readonly Uint8Array[],
  expected: { address: BlobAddress; digest: BundleDigest; contentKey: Uint8Array },
): KubeObject[] {
  if (addressOf(slices) !== expected.address) throw new BundleRefused("blob does not match its address");
  const plain = decompress(decrypt(Buffer.concat(slices), expected.contentKey));
  const isLater = plain.subarray(0, laterHeader.length).equals(Buffer.from(laterHeader));
  // What is created once stands behind the last line that the digest is of; the address is of all of it.
  const digested = isLater ? plain.subarray(0, Math.max(0, plain.lastIndexOf(0x0a))) : plain;
  if (digestOf(digested) !== expected.digest) throw new BundleRefused("bundle does not match its signed digest");
  const text = plain.toString("utf8");
  if (isLater) return openLater(text.slice(laterHeader.length).split("\n"));
  if (!text.startsWith(header)) throw new BundleRefused("bundle has a canonical form this agent does not know");
  return objectsIn(text.slice(header.length));
}

function openLater([objects, identities, once, ...more]: string[]): KubeObject[] {
  if (objects === undefined || identities === undefined || once === undefined || more.length > 0)
    throw new BundleRefused("bundle has a canonical form this agent does not know");
  const created = objectsIn(once);
  const keys = created.map((object) => refKey(refOf(object)));
  if (JSON.stringify(keys) !== identities || !created.every(isOnce))
    throw new BundleRefused("what the bundle creates once is not what its digest names");
  return [...objectsIn(objects), ...created];
}

const objectsIn = (text: string): KubeObject[] => parseJson(text) as unknown as KubeObject[];

export function addressOf(slices: readonly Uint8Array[]): BlobAddress {
  const hash = createHash("sha256");
  for (const slice of slices) hash.update(slice);
  return blobAddress(hash.digest("hex"));
}

function decrypt(ciphertext: Buffer, contentKey: Uint8Array): Buffer {
  if (ciphertext.length <= tagBytes || contentKey.length !== 32) throw new BundleRefused("blob cannot be opened");
  const decipher = createDecipheriv("aes-256-gcm", contentKey, zeroNonce);
  decipher.setAuthTag(ciphertext.subarray(-tagBytes));
  try {
    return Buffer.concat([decipher.update(ciphertext.subarray(0, -tagBytes)), decipher.final()]);
  } catch (cause) {
    throw new BundleRefused("blob cannot be opened with its content key", { cause });
  }
}

function decompress(compressed: Buffer): Buffer {
  try {
    return zstdDecompressSync(compressed, { maxOutputLength: bundleLimits.plainBytes });
  } catch (cause) {
    throw new BundleRefused("bundle does not decompress within 10 MiB", { cause });
  }
}

function deriveKey(secret: Uint8Array, compressed: Buffer): Buffer {
  const salt = createHash("sha256").update(compressed).digest();
  return Buffer.from(hkdfSync("sha256", secret, salt, keyInfo, 32));
}

function cut(bytes: Buffer): Buffer[] {
  const count = Math.ceil(bytes.length / sliceBytes);
  return Array.from({ length: count }, (_, n) => bytes.subarray(n * sliceBytes, (n + 1) * sliceBytes));
}

function largest(texts: readonly Text[]): string {
  const top = [...texts].sort((a, b) => b.text.length - a.text.length).slice(0, 3);
  return `largest: ${top.map(({ object, text }) => `${describeRef(refOf(object))} (${sizeOf(text)})`).join(", ")}`;
}

const sizeOf = (text: Buffer): string => mebibytes(text.length);
const mebibytes = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
