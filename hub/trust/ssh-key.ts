import { createHash, createPublicKey, verify, type JsonWebKey, type KeyObject } from "node:crypto";
import { readStrings, readWhole, unsignedOf } from "./ssh-wire.ts";

/** A public key as `ssh-keygen` writes it, and what checks a signature of its own kind. */
export type SshKey = {
  readonly type: string;
  /** "SHA256:...": as `ssh-keygen -l` prints it. */
  readonly fingerprint: string;
  /** Undefined when the signature holds, otherwise why it does not. `signature` is the blob of RFC 4253 §6.6. */
  check(signature: Buffer, data: Buffer): string | undefined;
};

/** Below this an RSA key is no protection; OpenSSH itself makes none that is shorter than 3072 since 2018. */
const minRsaBits = 2048;
const touched = 1;
const wrong = "its signature does not fit";

const curves: Record<string, { name: string; crv: string; hash: string; size: number }> = {
  "ecdsa-sha2-nistp256": { name: "nistp256", crv: "P-256", hash: "sha256", size: 32 },
  "ecdsa-sha2-nistp384": { name: "nistp384", crv: "P-384", hash: "sha384", size: 48 },
  "ecdsa-sha2-nistp521": { name: "nistp521", crv: "P-521", hash: "sha512", size: 66 },
};
const rsaHashes: Record<string, string> = { "rsa-sha2-256": "sha256", "rsa-sha2-512": "sha512" };

export const sshKeyTypes = [
  "ssh-ed25519",
  ...Object.keys(curves),
  "ssh-rsa",
  "sk-ssh-ed25519@openssh.com",
  "sk-ecdsa-sha2-nistp256@openssh.com",
];

/** A sentence's end when these bytes are no key that can be checked. */
export function readSshKey(blob: Buffer): SshKey | string {
  const type = readStrings(blob, 1)?.fields[0]?.toString("latin1") ?? "";
  const check = checkOf(type, blob);
  if (typeof check === "string") return check;
  return { type, fingerprint: fingerprintOf(blob), check };
}

export const fingerprintOf = (blob: Buffer): string =>
  `SHA256:${createHash("sha256").update(blob).digest("base64").replace(/=+$/, "")}`;

function checkOf(type: string, blob: Buffer): SshKey["check"] | string {
  const [, ...fields] = readWhole(blob, fieldCounts[type] ?? 0) ?? [];
  if (fields.length === 0)
    return type in fieldCounts ? "is cut short" : `is of the kind ${JSON.stringify(type)}, which is not read`;
  const curve = curves[type];
  if (curve !== undefined) return ecdsaCheck(type, curve, fields);
  switch (type) {
    case "ssh-ed25519":
      return ed25519Check(type, fields[0]!);
    case "ssh-rsa":
      return rsaCheck(fields);
    case "sk-ssh-ed25519@openssh.com":
      return hardwareCheck(type, fields[1]!, ed25519Key(fields[0]!), (signature) => signature);
    default:
      return hardwareCheck(type, fields[2]!, ecKey(curves["ecdsa-sha2-nistp256"]!, fields[1]!), p1363(32));
  }
}

const fieldCounts: Record<string, number> = {
  "ssh-ed25519": 2,
  "ecdsa-sha2-nistp256": 3,
  "ecdsa-sha2-nistp384": 3,
  "ecdsa-sha2-nistp521": 3,
  "ssh-rsa": 3,
  "sk-ssh-ed25519@openssh.com": 3,
  "sk-ecdsa-sha2-nistp256@openssh.com": 4,
};

function ed25519Check(type: string, raw: Buffer): SshKey["check"] | string {
  const key = ed25519Key(raw);
  if (key === undefined) return "is no ed25519 key";
  return (signature, data) => {
    const [kind, value] = readWhole(signature, 2) ?? [];
    return kind?.toString() === type && value?.length === 64 && verify(null, data, key, value) ? undefined : wrong;
  };
}

function ecdsaCheck(
  type: string,
  { name, crv, hash, size }: (typeof curves)[string],
  [curve, point]: Buffer[],
): SshKey["check"] | string {
  const key = curve!.toString() === name ? ecKey({ crv, size }, point!) : undefined;
  if (key === undefined) return `is no ${type} key`;
  return (signature, data) => {
    const [kind, value] = readWhole(signature, 2) ?? [];
    const raw = kind?.toString() === type && value !== undefined ? p1363(size)(value) : undefined;
    const isRight = raw !== undefined && verify(hash, data, { key, dsaEncoding: "ieee-p1363" }, raw);
    return isRight ? undefined : wrong;
  };
}

function rsaCheck([exponent, modulus]: Buffer[]): SshKey["check"] | string {
  const [e, n] = [unsignedOf(exponent!), unsignedOf(modulus!)];
  const key = e && n ? imported({ kty: "RSA", e: e.toString("base64url"), n: n.toString("base64url") }) : undefined;
  if (key === undefined) return "is no RSA key";
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (bits < minRsaBits) return `is an RSA key of ${bits} bits: at least ${minRsaBits} are needed`;
  return (signature, data) => {
    const [kind, value] = readWhole(signature, 2) ?? [];
    // "ssh-rsa" itself would be SHA-1.
    const hash = rsaHashes[kind?.toString() ?? ""];
    return hash !== undefined && value !== undefined && verify(hash, data, key, value) ? undefined : wrong;
  };
}

/** OpenSSH's PROTOCOL.u2f: the token signs a frame around the hash, with a flag for the touch and a counter. */
function hardwareCheck(
  type: string,
  application: Buffer,
  key: KeyObject | undefined,
  rawOf: (value: Buffer) => Buffer | undefined,
): SshKey["check"] | string {
  if (key === undefined) return `is no ${type} key`;
  const sha256 = (bytes: Buffer): Buffer => createHash("sha256").update(bytes).digest();
  return (signature, data) => {
    const read = readStrings(signature, 2);
    if (read?.rest.length !== 5 || read.fields[0]!.toString() !== type) return wrong;
    const raw = rawOf(read.fields[1]!);
    const framed = Buffer.concat([sha256(application), read.rest, sha256(data)]);
    const hash = key.asymmetricKeyType === "ec" ? "sha256" : null;
    if (raw === undefined || !verify(hash, framed, { key, dsaEncoding: "ieee-p1363" }, raw)) return wrong;
    return (read.rest[0]! & touched) === 0 ? "its security key was not touched" : undefined;
  };
}

const ed25519Key = (raw: Buffer): KeyObject | undefined =>
  raw.length === 32 ? imported({ kty: "OKP", crv: "Ed25519", x: raw.toString("base64url") }) : undefined;

function ecKey({ crv, size }: { crv: string; size: number }, point: Buffer): KeyObject | undefined {
  if (point.length !== 1 + 2 * size || point[0] !== 4) return undefined;
  const [x, y] = [point.subarray(1, 1 + size), point.subarray(1 + size)].map((half) => half.toString("base64url"));
  return imported({ kty: "EC", crv, x: x!, y: y! });
}

/** Two mpints, as node:crypto takes them. */
const p1363 =
  (size: number) =>
  (value: Buffer): Buffer | undefined => {
    const halves = readWhole(value, 2)?.map((half) => unsignedOf(half, size));
    return halves === undefined || halves.includes(undefined) ? undefined : Buffer.concat(halves as Buffer[]);
  };

/** A point that is not on its curve, or a modulus of nonsense, is no key. */
function imported(jwk: JsonWebKey): KeyObject | undefined {
  try {
    return createPublicKey({ key: jwk, format: "jwk" });
  } catch {
    return undefined;
  }
}
