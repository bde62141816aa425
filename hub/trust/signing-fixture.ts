import { createHash, generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { sshString } from "./ssh-wire.ts";

/** A private key that signs as `ssh-keygen -Y sign` does. */
export type TestKey = {
  readonly blob: Buffer;
  /** A line of an allowed-signers file. */
  line(options?: string): string;
  sign(payload: Uint8Array, options?: { namespace?: string; hash?: string }): string;
};

export const keyTypes = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "ssh-rsa",
  "sk-ssh-ed25519@openssh.com",
  "sk-ecdsa-sha2-nistp256@openssh.com",
] as const;

export function makeTestKey(type: (typeof keyTypes)[number] = "ssh-ed25519", flags = 1): TestKey {
  const { blob, signData } = makers[type](type, flags);
  return {
    blob,
    line: (options = "") => `dev1@example.com ${options}${options === "" ? "" : " "}${type} ${blob.toString("base64")}`,
    sign(payload, { namespace = "git", hash = "sha512" } = {}) {
      const head = [namespace, "", hash];
      const framed = [...head, createHash(hash).update(payload).digest()].map(sshString);
      const signature = signData(Buffer.concat([Buffer.from("SSHSIG"), ...framed]));
      const body = [blob, ...head, signature].map(sshString);
      const text = Buffer.concat([Buffer.from("SSHSIG\0\0\0\u0001", "latin1"), ...body]).toString("base64");
      const lines = text.match(/.{1,70}/g)!;
      return ["-----BEGIN SSH SIGNATURE-----", ...lines, "-----END SSH SIGNATURE-----", ""].join("\n");
    },
  };
}

type Made = { readonly blob: Buffer; readonly signData: (data: Buffer) => Buffer };
const strings = (...values: (string | Buffer)[]): Buffer => Buffer.concat(values.map(sshString));
const mpint = (bytes: Buffer): Buffer => {
  const short = bytes.subarray(bytes.findIndex((byte) => byte !== 0));
  return short[0]! >= 0x80 ? Buffer.concat([Buffer.from([0]), short]) : short;
};
const jwkField = (key: KeyObject, field: string): Buffer =>
  Buffer.from(String(key.export({ format: "jwk" })[field]), "base64url");

function ed25519(type: string): Made {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  return {
    blob: strings(type, jwkField(publicKey, "x")),
    signData: (data) => strings(type, sign(null, data, privateKey)),
  };
}

function ecdsa(type: string): Made {
  const curve = type.slice("ecdsa-sha2-".length);
  const [namedCurve, hash] = {
    nistp256: ["P-256", "sha256"],
    nistp384: ["P-384", "sha384"],
    nistp521: ["P-521", "sha512"],
  }[curve]!;
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: namedCurve! });
  const point = Buffer.concat([Buffer.from([4]), jwkField(publicKey, "x"), jwkField(publicKey, "y")]);
  return {
    blob: strings(type, curve, point),
    signData: (data) => strings(type, halves(sign(hash, data, { key: privateKey, dsaEncoding: "ieee-p1363" }))),
  };
}

const halves = (raw: Buffer): Buffer =>
  strings(mpint(raw.subarray(0, raw.length / 2)), mpint(raw.subarray(raw.length / 2)));

function rsa(type: string): Made {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return {
    blob: strings(type, mpint(jwkField(publicKey, "e")), mpint(jwkField(publicKey, "n"))),
    signData: (data) => strings("rsa-sha2-512", sign("sha512", data, privateKey)),
  };
}

/** What a security key does: it signs its own frame, with a flag that says whether it was touched. */
function hardware(type: string, flags: number): Made {
  const isEc = type.includes("ecdsa");
  const { publicKey, privateKey } = isEc
    ? generateKeyPairSync("ec", { namedCurve: "P-256" })
    : generateKeyPairSync("ed25519");
  const x = jwkField(publicKey, "x");
  const key = isEc ? strings("nistp256", Buffer.concat([Buffer.from([4]), x, jwkField(publicKey, "y")])) : strings(x);
  const sha256 = (bytes: string | Buffer): Buffer => createHash("sha256").update(bytes).digest();
  const tail = Buffer.from([flags, 0, 0, 0, 7]);
  return {
    blob: Buffer.concat([strings(type), key, strings("ssh:")]),
    signData(data) {
      const framed = Buffer.concat([sha256("ssh:"), tail, sha256(data)]);
      const raw = isEc
        ? halves(sign("sha256", framed, { key: privateKey, dsaEncoding: "ieee-p1363" }))
        : sign(null, framed, privateKey);
      return Buffer.concat([strings(type, raw), tail]);
    },
  };
}

const makers: Record<(typeof keyTypes)[number], (type: string, flags: number) => Made> = {
  "ssh-ed25519": ed25519,
  "ecdsa-sha2-nistp256": ecdsa,
  "ecdsa-sha2-nistp384": ecdsa,
  "ecdsa-sha2-nistp521": ecdsa,
  "ssh-rsa": rsa,
  "sk-ssh-ed25519@openssh.com": hardware,
  "sk-ecdsa-sha2-nistp256@openssh.com": hardware,
};

export type TestCommit = {
  readonly by?: string;
  /** Seconds since 1970. */
  readonly at?: number;
  readonly parents?: readonly string[];
  readonly tree?: string;
  readonly message?: string;
  readonly header?: string;
};

/** A raw commit, signed or not. */
export function writeTestCommit(commit: TestCommit, signPayload?: (payload: Buffer) => string): Buffer {
  const { by = "dev1 <dev1@example.com>", at = 1_700_000_000, parents = [], message = "a change\n" } = commit;
  const tree = commit.tree ?? "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
  const head = [
    `tree ${tree}\n`,
    ...parents.map((parent) => `parent ${parent}\n`),
    `author ${by} ${at} +0000\ncommitter ${by} ${at} +0000\n`,
  ].join("");
  if (signPayload === undefined) return Buffer.from(`${head}\n${message}`);
  const signature = signPayload(Buffer.from(`${head}\n${message}`))
    .trimEnd()
    .replaceAll("\n", "\n ");
  return Buffer.from(`${head}${commit.header ?? "gpgsig"} ${signature}\n\n${message}`);
}
