import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { X509Certificate } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createIdentity, IdentityProblem, loadIdentity, saveIdentity } from "./identity.ts";

let folder: string;
beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), "plumbline-identity-"))));
afterEach(() => rm(folder, { recursive: true }));

test("is written once, readable by its owner alone, and loads as what was made", async () => {
  const path = join(folder, "deep", "identity.json");
  await saveIdentity(path, await createIdentity(Date.now()));
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  const [first, second] = [await loadIdentity(path), await loadIdentity(path)];
  expect(first.fingerprint).toMatch(/^sha256:[0-9a-f]{64}$/);
  expect(second.fingerprint).toBe(first.fingerprint);
  const before = await readFile(path, "utf8");
  await expect(saveIdentity(path, await createIdentity(Date.now()))).rejects.toThrow(IdentityProblem);
  expect(await readFile(path, "utf8")).toBe(before);
});

test("a damaged file is named, and none of its content is shown", async () => {
  const path = join(folder, "identity.json");
  await expect(loadIdentity(path)).rejects.toThrow("run plumb init");
  await writeFile(path, JSON.stringify({ ...(await createIdentity(0)), contentSecret: "canary-secret" }));
  await expect(loadIdentity(path)).rejects.toThrow(`${path} is not an identity file: contentSecret`);
  await expect(loadIdentity(path)).rejects.not.toThrow("canary");
  await writeFile(path, "canary-secret");
  await expect(loadIdentity(path)).rejects.not.toThrow("canary");
});

test("gives servers certificates that name their addresses", async () => {
  const path = join(folder, "identity.json");
  await saveIdentity(path, await createIdentity(Date.now()));
  const { authority } = await loadIdentity(path);
  const issued = await authority.issueServer(["localhost", "127.0.0.1"], Date.now());
  const certificate = new X509Certificate(issued.certificatePem);
  expect(certificate.checkIP("127.0.0.1")).toBe("127.0.0.1");
  expect(certificate.verify(new X509Certificate(authority.certificatePem).publicKey)).toBe(true);
});
