import { generateKeyPairSync } from "node:crypto";
import { expect, test } from "vitest";
import { parseAllowedSigner } from "./allowed-signers.ts";
import { pgpKeyProblem } from "./pgp-armour.ts";
import { makeTestKey } from "./signing-fixture.ts";
import { sshString } from "./ssh-wire.ts";

const key = makeTestKey().blob.toString("base64");
const blobOf = (...fields: (string | Buffer)[]): string => Buffer.concat(fields.map(sshString)).toString("base64");

test.each<[string, object]>([
  [`dev1@example.com ssh-ed25519 ${key}`, { principals: ["dev1@example.com"], validAfterMs: null }],
  [
    `dev1@example.com,*@forge.example ssh-ed25519 ${key} a comment`,
    { principals: ["dev1@example.com", "*@forge.example"] },
  ],
  [`"dev 1" namespaces="git" ssh-ed25519 ${key}`, { principals: ["dev 1"] }],
  [
    `dev1 namespaces="file,g?t",valid-after="20260102",VALID-BEFORE=202601020304Z ssh-ed25519 ${key}`,
    { validAfterMs: Date.UTC(2026, 0, 2), validBeforeMs: Date.UTC(2026, 0, 2, 3, 4) },
  ],
  [`dev1 valid-before="20260102030405Z" ssh-ed25519 ${key}`, { validBeforeMs: Date.UTC(2026, 0, 2, 3, 4, 5) }],
])("reads %s", (line, parsed) => {
  expect(parseAllowedSigner(line)).toMatchObject(parsed);
});

const short = generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey.export({ format: "jwk" });
test.each<[string, string]>([
  ["", "is no line of an allowed-signers file"],
  ["release@example.com", "is no line of an allowed-signers file"],
  [`ssh-ed25519 ${key} dev1`, "put who holds it in front"],
  [`dev1 ssh-dss ${key}`, "is no line of an allowed-signers file"],
  [`dev1 ssh-ed25519 ${key.slice(0, 20)}`, "has a key that is cut short"],
  [`dev1 ssh-ed25519 not,base64`, "has a key that is not base64"],
  [`dev1 ssh-rsa ${key}`, "says ssh-rsa, but its key is ssh-ed25519"],
  [`dev1 ssh-ed25519 ${blobOf("ssh-ed25519", Buffer.alloc(31))}`, "has a key that is no ed25519 key"],
  [
    `dev1 ssh-rsa ${blobOf("ssh-rsa", Buffer.from([1, 0, 1]), Buffer.from(`\0${Buffer.from(short.n!, "base64url").toString("latin1")}`, "latin1"))}`,
    "has a key that is an RSA key of 1024 bits: at least 2048 are needed",
  ],
  [
    `dev1 ecdsa-sha2-nistp256 ${blobOf("ecdsa-sha2-nistp256", "nistp256", Buffer.alloc(65, 4))}`,
    "has a key that is no ecdsa-sha2-nistp256 key",
  ],
  [`dev1 namespaces="file" ssh-ed25519 ${key}`, 'is not for git: its namespaces are "file"'],
  [`dev1 namespaces="*,!git" ssh-ed25519 ${key}`, "is not for git"],
  [`dev1 cert-authority ssh-ed25519 ${key}`, "names a certificate authority"],
  [`dev1 valid-before="tomorrow" ssh-ed25519 ${key}`, "has a valid-before that is no YYYYMMDD"],
  [`dev1 touch-required ssh-ed25519 ${key}`, 'has the option "touch-required"'],
  [`dev1 namespaces="git ssh-ed25519 ${key}`, "has a quotation mark that is not closed"],
])("refuses %s", (line, problem) => {
  expect(parseAllowedSigner(line)).toContain(problem);
});

test.each<[string, string]>([
  ["AAAA", "must begin with -----BEGIN PGP PUBLIC KEY BLOCK-----"],
  [
    "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nAAAA\n-----END PGP PRIVATE KEY BLOCK-----",
    "is a private key: take it out",
  ],
  ["-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n???\n-----END PGP PUBLIC KEY BLOCK-----", "is not base64 inside"],
  [
    "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nlQOY\n-----END PGP PUBLIC KEY BLOCK-----",
    "holds something else than a public key",
  ],
])("refuses %j as an OpenPGP key", (block, problem) => {
  expect(pgpKeyProblem(block)).toContain(problem);
});
