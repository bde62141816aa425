import { generateKeyPairSync, randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { bundleDigest, clusterId } from "#proto/ids.ts";
import { openKey, rawX25519, SealRefused, sealKey } from "#proto/sealed-key.ts";

const context = { cluster: clusterId("eu-1"), digest: bundleDigest("1".repeat(64)) };
const own = generateKeyPairSync("x25519");
const contentKey = randomBytes(32);
const sealed = sealKey(contentKey, rawX25519(own.publicKey), context);

test("opens for the cluster it was sealed to", () => {
  expect(openKey(sealed, own.privateKey, context)).toEqual(contentKey);
});

test("opens for no other cluster, name or bundle", () => {
  const other = generateKeyPairSync("x25519").privateKey;
  expect(() => openKey(sealed, other, context)).toThrow(SealRefused);
  expect(() => openKey(sealed, own.privateKey, { ...context, cluster: clusterId("eu-2") })).toThrow(SealRefused);
  const digest = bundleDigest("2".repeat(64));
  expect(() => openKey(sealed, own.privateKey, { ...context, digest })).toThrow(SealRefused);
});

test("refuses every single flipped bit and every other length", () => {
  for (let bit = 0; bit < sealed.length * 8; bit += 1) {
    const forged = Buffer.from(sealed);
    forged[bit >> 3] = forged[bit >> 3]! ^ (1 << (bit & 7));
    // X25519 ignores the top bit of a public key (RFC 7748 §5), so that flip alone is the same key.
    if (bit === 255) continue;
    expect(() => openKey(forged, own.privateKey, context), `bit ${bit}`).toThrow(SealRefused);
  }
  expect(() => openKey(sealed.subarray(1), own.privateKey, context)).toThrow("wrong length");
});

test("never hands two clusters, or one cluster twice, the same bytes", () => {
  expect(sealKey(contentKey, rawX25519(own.publicKey), context)).not.toEqual(sealed);
});
