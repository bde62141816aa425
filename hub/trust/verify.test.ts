import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createMessage, generateKey, readPrivateKey, sign as pgpSign, type PrivateKey } from "openpgp";
import { describe, expect, test } from "vitest";
import { keyTypes, makeTestKey, writeTestCommit, type TestCommit } from "./signing-fixture.ts";
import type { SignerKeys } from "./signer-keys.ts";
import { verifyMany, verifyTag } from "./verify-many.ts";

const id = "1".repeat(40);
const signer = (...ssh: string[]): SignerKeys => ({ name: "dev1", ssh, pgp: [] });
const verdictOf = async (raw: Buffer, ...signers: SignerKeys[]) => {
  const [verdict] = await verifyMany([{ id, raw }], signers);
  return verdict!.kind === "signed" ? `by ${verdict!.by}` : verdict!.because;
};
const has = (program: string): boolean => {
  try {
    execFileSync("sh", ["-c", `command -v ${program}`], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
};

describe("SSH", () => {
  test.each(keyTypes)("takes a commit that is signed with a key of %s, and not a byte of another", async (type) => {
    const key = makeTestKey(type);
    const raw = writeTestCommit({}, (payload) => key.sign(payload));
    expect(await verdictOf(raw, signer(key.line()))).toBe("by dev1");
    const other = Buffer.from(raw.toString().replace("a change", "b change"));
    expect(await verdictOf(other, signer(key.line()))).toMatch(/but its signature does not fit$/);
    // The same key under another one's name would be another key.
    expect(await verdictOf(raw, signer(makeTestKey(type).line()))).toMatch(
      /^is signed by the SSH key SHA256:\S+, which is no signer's$/,
    );
  });

  test.each<[string, TestCommit, string, string]>([
    [
      "before its key counts",
      { at: 1_767_225_599 },
      'valid-after="20260101Z"',
      "but its key counts from 2026-01-01 on, and it is of 2025-12-31 23:59",
    ],
    ["from then on", { at: 1_767_225_600 }, 'valid-after="20260101Z"', "by dev1"],
    ["until the key ends", { at: 1_767_225_600 }, 'valid-before="202601010000"', "by dev1"],
    [
      "after it has expired",
      { at: 1_767_225_601 },
      'namespaces="git,file",valid-before="20260101"',
      "but its key expired on 2026-01-01, and it is of 2026-01-01",
    ],
  ])("judges a commit of %s", async (_name, commit, options, said) => {
    const key = makeTestKey();
    const raw = writeTestCommit(commit, (payload) => key.sign(payload));
    expect(await verdictOf(raw, signer(key.line(options)))).toContain(said);
  });

  test("refuses what was signed for something else, without a touch, or twice", async () => {
    const key = makeTestKey();
    const file = writeTestCommit({}, (payload) => key.sign(payload, { namespace: "file" }));
    expect(await verdictOf(file, signer(key.line()))).toContain('its signature is for "file", not for git');
    const untouched = makeTestKey("sk-ssh-ed25519@openssh.com", 0);
    const raw = writeTestCommit({}, (payload) => untouched.sign(payload));
    expect(await verdictOf(raw, signer(untouched.line()))).toContain("its security key was not touched");
    const once = writeTestCommit({}, (payload) => key.sign(payload)).toString();
    const twice = once.replace("gpgsig ", `${/gpgsig (?:.*\n )*.*\n/.exec(once)![0]}gpgsig `);
    expect(await verdictOf(Buffer.from(twice), signer(key.line()))).toBe("has more than one signature");
  });

  test("of a repository whose ids are SHA-256 stands in its own header", async () => {
    const key = makeTestKey();
    const raw = writeTestCommit({ header: "gpgsig-sha256" }, (payload) => key.sign(payload));
    const [verdict] = await verifyMany([{ id: "1".repeat(64), raw }], [signer(key.line())]);
    expect(verdict).toMatchObject({ kind: "signed", by: "dev1" });
    expect(await verdictOf(raw, signer(key.line()))).toBe("is not signed");
  });

  test.runIf(has("ssh-keygen"))("agrees with ssh-keygen both ways", async () => {
    const folder = mkdtempSync(join(tmpdir(), "plumbline-keygen-"));
    try {
      for (const type of ["ed25519", "ecdsa", "rsa"]) {
        const file = join(folder, type);
        execFileSync("ssh-keygen", ["-q", "-t", type, "-N", "", "-C", "dev1", "-f", file]);
        const raw = writeTestCommit({}, (payload) =>
          execFileSync("ssh-keygen", ["-Y", "sign", "-q", "-n", "git", "-f", file], {
            input: payload,
            encoding: "utf8",
          }),
        );
        const line = `dev1@example.com namespaces="git" ${readFileSync(`${file}.pub`, "utf8").trim()}`;
        expect(await verdictOf(raw, signer(line)), type).toBe("by dev1");
      }
      for (const type of keyTypes) {
        const key = makeTestKey(type);
        writeFileSync(join(folder, "allowed"), `${key.line()}\n`);
        writeFileSync(join(folder, "signature"), key.sign(Buffer.from("payload")));
        const verify = [
          "-Y",
          "verify",
          "-n",
          "git",
          "-I",
          "dev1@example.com",
          "-f",
          join(folder, "allowed"),
          "-s",
          join(folder, "signature"),
        ];
        expect(execFileSync("ssh-keygen", verify, { input: "payload", encoding: "utf8" }), type).toContain("Good");
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

test("says what is wrong with a commit that is not signed, or in ways that are not read", async () => {
  expect(await verdictOf(writeTestCommit({}), signer(makeTestKey().line()))).toBe("is not signed");
  const x509 = writeTestCommit({}, () => "-----BEGIN SIGNED MESSAGE-----\nAAAA\n-----END SIGNED MESSAGE-----");
  expect(await verdictOf(x509)).toContain("X.509");
  const broken = writeTestCommit({}, () => "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----");
  expect(await verdictOf(broken)).toBe("has an SSH signature that cannot be read");
  const nonsense = writeTestCommit({}, () => "-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----");
  expect(await verdictOf(nonsense)).toBe("has an OpenPGP signature that cannot be read");
});

describe("OpenPGP", () => {
  const day = 86_400_000;
  const made = new Date("2026-01-01T00:00:00Z");
  const make = async (options: { keyExpirationTime?: number } = {}) => {
    const userIDs = [{ name: "dev1", email: "dev1@example.com" }];
    const pair = await generateKey({ userIDs, date: made, subkeys: [{ sign: true }], ...options });
    return { ...pair, private: await readPrivateKey({ armoredKey: pair.privateKey }) };
  };
  const pgp = (...blocks: string[]): SignerKeys => ({ name: "dev1", ssh: [], pgp: blocks });
  const signed = async (key: PrivateKey, at: Date, commit: TestCommit = {}): Promise<Buffer> => {
    const payload = writeTestCommit(commit);
    const message = await createMessage({ binary: new Uint8Array(payload) });
    const signature = await pgpSign({ message, signingKeys: key, detached: true, date: at });
    return writeTestCommit(commit, () => signature.replaceAll("\r\n", "\n"));
  };
  const later = (days: number): Date => new Date(made.getTime() + days * day);

  test("takes a commit that a subkey signed, and not a byte of another", async () => {
    const key = await make();
    const raw = await signed(key.private, later(1));
    expect(await verdictOf(raw, pgp(key.publicKey))).toBe("by dev1");
    const other = Buffer.from(raw.toString().replace("a change", "b change"));
    expect(await verdictOf(other, pgp(key.publicKey))).toMatch(
      /^is signed by dev1's OpenPGP key \w+, but .*(?:digest|verif)/i,
    );
    expect(await verdictOf(raw, pgp((await make()).publicKey))).toMatch(
      /^is signed by the OpenPGP key [0-9A-F]{16}, which is no signer's$/,
    );
  });

  test("refuses what a key signed after it had expired, and takes what it signed before", async () => {
    const key = await make({ keyExpirationTime: 86_400 * 10 });
    expect(await verdictOf(await signed(key.private, later(9)), pgp(key.publicKey))).toBe("by dev1");
    const unlimited = await readPrivateKey({ armoredKey: key.privateKey });
    // A thief's own copy of the key does not stop by itself.
    for (const own of [unlimited, ...unlimited.subkeys])
      for (const signature of "bindingSignatures" in own
        ? own.bindingSignatures
        : own.users.flatMap((user) => user.selfCertifications))
        Object.assign(signature, { keyNeverExpires: true, keyExpirationTime: null });
    expect(await verdictOf(await signed(unlimited, later(11)), pgp(key.publicKey))).toMatch(/but .*expired/i);
  });

  test("takes nothing from a key that was stolen, and of a retired one what it signed before", async () => {
    const key = await make();
    const before = await signed(key.private, later(1));
    const stolen = await key.private.revoke({ flag: 2 as never, string: "stolen" }, later(5));
    expect(await verdictOf(before, pgp(stolen.toPublic().armor()))).toMatch(/but .*revoked/i);
    const retired = await key.private.revoke({ flag: 3 as never, string: "retired" }, later(5));
    expect(await verdictOf(before, pgp(retired.toPublic().armor()))).toBe("by dev1");
    expect(await verdictOf(await signed(key.private, later(6)), pgp(retired.toPublic().armor()))).toMatch(
      /but .*revoked/i,
    );
  });

  test("is checked in a thread of its own, together with many by SSH", async () => {
    const key = await make();
    const ssh = makeTestKey();
    const signers = [signer(ssh.line()), { ...pgp(key.publicKey), name: "forge" }];
    const many = Array.from({ length: 40 }, (_one, n) => ({
      id,
      raw: writeTestCommit({ message: `commit ${n}\n` }, (payload) => ssh.sign(payload)),
    }));
    const verdicts = await verifyMany(
      [{ id, raw: await signed(key.private, later(1)) }, ...many, { id, raw: writeTestCommit({}) }],
      signers,
    );
    expect(verdicts.map((verdict) => (verdict.kind === "signed" ? verdict.by : verdict.because))).toEqual([
      "forge",
      ...many.map(() => "dev1"),
      "is not signed",
    ]);
  });

  test.runIf(has("gpg"))("takes what gpg itself signed", async () => {
    const home = mkdtempSync(join(tmpdir(), "plumbline-gpg-"));
    const gpg = (arguments_: string[], input?: Buffer) =>
      execFileSync("gpg", ["--homedir", home, "--batch", "--quiet", "--no-tty", "--passphrase", "", ...arguments_], {
        input,
        encoding: "utf8",
        stdio: ["pipe", "pipe", "ignore"],
      });
    try {
      gpg(["--quick-generate-key", "dev1 <dev1@example.com>", "ed25519", "sign", "1y"]);
      const raw = writeTestCommit({}, (payload) => gpg(["--armor", "--detach-sign"], payload));
      const block = gpg(["--armor", "--export"]);
      expect(await verdictOf(raw, pgp(block))).toBe("by dev1");
      gpg(["--quick-set-expire", /[0-9A-F]{40}/.exec(gpg(["--list-keys", "--with-colons"]))![0], "2y"]);
      expect(await verdictOf(raw, pgp(gpg(["--armor", "--export"])))).toBe("by dev1");
    } finally {
      execFileSync("gpgconf", ["--homedir", home, "--kill", "all"]);
      // Its processes say that they end, and then take their sockets away.
      rmSync(home, { recursive: true, force: true, maxRetries: 50, retryDelay: 20 });
    }
  });
});

describe("a tag", () => {
  const key = makeTestKey();
  const commit = "2".repeat(40);
  const write = (name: string, type = "commit"): Buffer => {
    const payload = `object ${commit}\ntype ${type}\ntag ${name}\ntagger dev1 <dev1@example.com> 1700000000 +0000\n\nversion\n`;
    return Buffer.from(payload + key.sign(Buffer.from(payload)));
  };
  const check = (raw: Buffer, expected = { name: "v1", commit }) => verifyTag(raw, expected, [signer(key.line())]);

  test("is taken under its own name, at its own commit", async () => {
    expect(await check(write("v1"))).toMatchObject({ kind: "signed", by: "dev1" });
    const because = (text: string) => ({ kind: "refused", because: expect.stringContaining(text) as string });
    expect(await check(write("v0"))).toEqual(because('says that it is the tag "v0"'));
    expect(await check(write("v1", "tree"))).toEqual(because("of the tree"));
    expect(await check(write("v1"), { name: "v1", commit: "3".repeat(40) })).toEqual(because("of the commit 2222222"));
    const payload = `object ${commit}\ntype commit\ntag v1\ntagger dev1 <dev1@example.com> 1700000000 +0000\n\nversion\n`;
    expect(await check(Buffer.from(payload))).toEqual(because("is not signed"));
    expect(await check(Buffer.from(write("v1").toString().replace("version", "Version")))).toEqual(
      because("does not fit"),
    );
    expect(await check(Buffer.from(`${write("v1").toString()}${key.sign(Buffer.from(payload))}`))).toEqual(
      because("more than one"),
    );
  });
});
