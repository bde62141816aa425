import { createCipheriv } from "node:crypto";
import { zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  addressOf,
  bundleLimits,
  BundleProblem,
  BundleRefused,
  canonicalBundle,
  digestOf,
  openBundle,
  sealBundle,
  sliceBytes,
} from "#proto/bundle.ts";
import { onceAnnotation } from "#proto/hooks.ts";
import { blobAddress, bundleDigest } from "#proto/ids.ts";
import { canonicalJson } from "#proto/json.ts";
import type { KubeObject } from "#proto/object.ts";

const secret = Buffer.alloc(32, 7);
const configMap = (name: string, data: Record<string, string> = {}): KubeObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "shop" },
  data,
});

test("gives one digest to the same objects in any order and key order", () => {
  const reordered = { data: {}, metadata: { namespace: "shop", name: "a" }, kind: "ConfigMap", apiVersion: "v1" };
  expect(digestOf(canonicalBundle([configMap("b"), reordered]))).toBe(
    digestOf(canonicalBundle([configMap("a"), configMap("b")])),
  );
});

// Golden: a change of this digest would make every agent of every fleet write every object again.
test("gives the digest that earlier releases gave", () => {
  const objects = [configMap("a", { ключ: "значение", n: "1" }), { ...configMap("b"), big: 9007199254740993n }];
  expect(digestOf(canonicalBundle(objects))).toBe("283986596b9bb41adc13e74c3df3cacbc99132960b5d72d732ba85fab141f25f");
});

test("opens what was sealed, exactly", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.string(), { noNullPrototype: true }), (data) => {
      const sealed = sealBundle([configMap("a", data)], secret);
      expect(canonicalJson(openBundle(sealed.slices, sealed))).toBe(canonicalJson([configMap("a", data)]));
    }),
    { numRuns: 50 },
  );
});

test("gives a rebuilt hub the same address and another secret another", () => {
  const objects = [configMap("a", { password: "canary" })];
  expect(sealBundle(objects, secret).address).toBe(sealBundle(objects, secret).address);
  expect(sealBundle(objects, Buffer.alloc(32, 8)).address).not.toBe(sealBundle(objects, secret).address);
});

test("refuses a bundle with any bit flipped, even when the address is made to fit", () => {
  const sealed = sealBundle([configMap("a", { key: "value" })], secret);
  const ciphertext = Buffer.concat(sealed.slices);
  fc.assert(
    fc.property(fc.nat({ max: ciphertext.length * 8 - 1 }), (bit) => {
      const forged = Buffer.from(ciphertext);
      forged[bit >> 3] = forged[bit >> 3]! ^ (1 << (bit & 7));
      expect(() => openBundle([forged], sealed)).toThrow(BundleRefused);
      expect(() => openBundle([forged], { ...sealed, address: addressOf([forged]) })).toThrow(BundleRefused);
    }),
    { numRuns: 300 },
  );
});

test("refuses a wrong digest, a wrong key and an empty blob", () => {
  const sealed = sealBundle([configMap("a")], secret);
  const wrong = bundleDigest("0".repeat(64));
  expect(() => openBundle(sealed.slices, { ...sealed, digest: wrong })).toThrow("signed digest");
  expect(() => openBundle(sealed.slices, { ...sealed, contentKey: Buffer.alloc(32) })).toThrow("content key");
  expect(() => openBundle(sealed.slices, { ...sealed, address: blobAddress("0".repeat(64)) })).toThrow("address");
  expect(() => openBundle([], { ...sealed, address: addressOf([]) })).toThrow(BundleRefused);
});

test("refuses more than 10 MiB and names the largest objects", () => {
  const filler = "0".repeat(900_000);
  const many = Array.from({ length: 12 }, (_, n) => configMap(`c${n}`, { filler }));
  expect(() => canonicalBundle(many)).toThrow(/at most 10 MiB is allowed; largest: ConfigMap shop\/c/);
});

test("cuts a large bundle into slices and joins them again", () => {
  const random = Array.from({ length: 40 }, (_, n) =>
    configMap(`c${n}`, { noise: Array.from({ length: 2_000 }, (_, i) => digestOf(Buffer.from(`${n}/${i}`))).join("") }),
  );
  const sealed = sealBundle(random, secret);
  expect(sealed.slices.length).toBe(Math.ceil(Buffer.concat(sealed.slices).length / sliceBytes));
  expect(sealed.slices.length).toBeGreaterThan(1);
  expect(openBundle(sealed.slices, sealed)).toHaveLength(40);
});

test("names the object that is too large, twice there, or one too many", () => {
  expect(() => canonicalBundle([configMap("a", { big: "x".repeat(2 ** 20) })])).toThrow("ConfigMap shop/a is 1.0 MiB");
  expect(() => canonicalBundle([configMap("a"), configMap("a")])).toThrow("ConfigMap shop/a is in the bundle twice");
  const many = Array.from({ length: bundleLimits.objects + 1 }, (_, n) => configMap(`c${n}`));
  expect(() => canonicalBundle(many)).toThrow(BundleProblem);
});

const once = (name: string, data: Record<string, string> = {}): KubeObject => {
  const { metadata, ...rest } = configMap(name, data);
  return { ...rest, metadata: { ...metadata, annotations: { [onceAnnotation]: "once" } } };
};

/** A blob of any plaintext that opens with this key, and whatever address it then has: what a thief of the hub's keys could make. */
function forged(plain: string, digest = digestOf(Buffer.from(plain.slice(0, Math.max(0, plain.lastIndexOf("\n")))))) {
  const contentKey = Buffer.alloc(32, 9);
  const cipher = createCipheriv("aes-256-gcm", contentKey, Buffer.alloc(12));
  const slices = [Buffer.concat([cipher.update(zstdCompressSync(plain)), cipher.final(), cipher.getAuthTag()])];
  return openBundle(slices, { address: addressOf(slices), digest, contentKey });
}

describe("a bundle with what is created once", () => {
  const header = "plumbline.dev/bundle/v2\n";
  const objects = canonicalJson([configMap("a")]);
  const key = "/ConfigMap/shop/token";
  const created = canonicalJson([once("token", { token: "made up" })]);

  test("opens as it was sealed, and keeps its digest when only the content of that object is another", () => {
    const sealed = sealBundle([once("token", { token: "1" }), configMap("a")], secret);
    const other = sealBundle([once("token", { token: "2" }), configMap("a")], secret);
    expect(openBundle(sealed.slices, sealed).map(({ metadata }) => metadata.name)).toEqual(["a", "token"]);
    expect(other.digest).toBe(sealed.digest);
    expect(other.address).not.toBe(sealed.address);
    expect(() => openBundle(other.slices, sealed)).toThrow("blob does not match its address");
  });

  test("the form that is forged below is the very one that is sealed", () => {
    const { digest } = sealBundle([configMap("a"), once("token")], secret);
    expect(forged(`${header}${objects}\n["${key}"]\n${created}`, digest)).toHaveLength(2);
  });

  test.each([
    ["another object than the digest names", `${objects}\n["/ConfigMap/shop/other"]\n${created}`, "its digest names"],
    ["an object more", `${objects}\n[]\n${created}`, "its digest names"],
    ["an object less", `${objects}\n["${key}"]\n[]`, "its digest names"],
    [
      "an object that is not created once",
      `${objects}\n["${key}"]\n${canonicalJson([configMap("token")])}`,
      "its digest",
    ],
    ["a line less", `${objects}\n["${key}"]`, "canonical form"],
    ["a line more", `${objects}\n["${key}"]\n${created}\n[]`, "canonical form"],
  ])("is refused with %s", (_what, lines, because) => {
    expect(() => forged(`${header}${lines}`)).toThrow(BundleRefused);
    expect(() => forged(`${header}${lines}`)).toThrow(because);
  });

  test("is refused with other objects, or other names, than its signed digest is of", () => {
    const { digest } = sealBundle([configMap("a"), once("token")], secret);
    const changed = canonicalJson([configMap("a", { evil: "yes" })]);
    const other = canonicalJson([once("other")]);
    expect(() => forged(`${header}${changed}\n["${key}"]\n${created}`, digest)).toThrow("signed digest");
    expect(() => forged(`${header}${objects}\n["/ConfigMap/shop/other"]\n${other}`, digest)).toThrow("signed digest");
  });

  test("no later form is taken for one of these", () => {
    const plain = `plumbline.dev/bundle/v3\n${objects}`;
    expect(() => forged(plain, digestOf(Buffer.from(plain)))).toThrow("canonical form this agent does not know");
  });
});
