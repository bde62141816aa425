import { createPrivateKey, generateKeyPairSync, randomBytes, type KeyObject } from "node:crypto";
import { chmod, link, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { createAuthority, openAuthority, type Authority } from "#hub/identity/authority.ts";
import { natsIdentity, type NatsIdentity } from "#hub/identity/nats-jwt.ts";
import { createNatsKeys, type NatsKeys } from "#hub/identity/nats-keys.ts";
import { delegate, rawPublicKey, type Signer } from "#proto/envelope.ts";
import { fingerprintOf } from "#proto/fingerprint.ts";

/** How long the root trusts a hub key. An agent that was away for longer still keeps its last good document. */
const delegationLifeMs = 365 * 86_400_000;
const skewMs = 5 * 60_000;

/** Everything the hub is known by. Not state: made once, backed up by its owner, never in Git or NATS. */
export type Identity = {
  /** Raw ed25519 root key, which agents pin. */
  readonly rootKey: Uint8Array;
  /** "sha256:<hex>" of the root key, as it stands in join lines. */
  readonly fingerprint: string;
  readonly epoch: number;
  readonly documentSigner: Signer;
  /** Bundles' content keys derive from it, so a rebuilt hub gives every bundle the same address. */
  readonly contentSecret: Uint8Array;
  readonly tokenSecret: Uint8Array;
  /** ed25519, for the hub's commits. */
  readonly gitKey: KeyObject;
  readonly authority: Authority;
  readonly nats: NatsIdentity;
};

/** An identity file that cannot be used. The message names the file and never its content. */
export class IdentityProblem extends Error {
  override readonly name = "IdentityProblem";
}

const pem = z.string().startsWith("-----BEGIN ");
const secret = z.base64().length(44);
const schema = z.strictObject({
  format: z.literal(1),
  madeAt: z.iso.datetime(),
  epoch: z.int().positive(),
  rootKey: pem,
  hubKey: pem,
  delegation: z.base64(),
  gitKey: pem,
  contentSecret: secret,
  tokenSecret: secret,
  authority: z.strictObject({ certificatePem: pem, keyPem: pem }),
  nats: z.record(z.string(), z.string()),
});
export type IdentityFile = z.infer<typeof schema>;

/** New keys of every kind. */
export async function createIdentity(nowMs: number): Promise<IdentityFile> {
  const root = generateKeyPairSync("ed25519").privateKey;
  const hub = generateKeyPairSync("ed25519").privateKey;
  const grant = {
    hubKey: rawPublicKey(hub),
    epoch: 1,
    notBeforeMs: nowMs - skewMs,
    notAfterMs: nowMs + delegationLifeMs,
  };
  return {
    format: 1,
    madeAt: new Date(nowMs).toISOString(),
    epoch: 1,
    rootKey: pemOf(root),
    hubKey: pemOf(hub),
    delegation: Buffer.from(delegate(root, grant)).toString("base64"),
    gitKey: pemOf(generateKeyPairSync("ed25519").privateKey),
    contentSecret: randomBytes(32).toString("base64"),
    tokenSecret: randomBytes(32).toString("base64"),
    authority: await createAuthority(nowMs),
    nats: createNatsKeys(),
  };
}

/** Writes a new identity, readable by this user alone. Throws IdentityProblem rather than replace one. */
export async function saveIdentity(path: string, file: IdentityFile): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${process.pid}.new`;
  await writeFile(draft, `${JSON.stringify(file, null, 2)}\n`, { mode: 0o600, flag: "wx" });
  try {
    await chmod(draft, 0o600);
    // A link fails where a rename would replace: two at once leave one identity, whole.
    await link(draft, path);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause;
    throw new IdentityProblem(`${path} exists: an identity is made once, and losing it means to enrol the fleet again`);
  } finally {
    await rm(draft, { force: true });
  }
}

export async function loadIdentity(path: string): Promise<Identity> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause;
    throw new IdentityProblem(`${path} does not exist: run plumb init, or restore it from its backup`);
  }
  return openIdentity(path, text);
}

async function openIdentity(path: string, text: string): Promise<Identity> {
  let file: IdentityFile;
  try {
    file = schema.parse(JSON.parse(text));
  } catch (cause) {
    // Neither the text nor zod's message: both can quote a key.
    const field = cause instanceof z.ZodError ? `: ${cause.issues[0]?.path.join(".") ?? ""}` : "";
    throw new IdentityProblem(`${path} is not an identity file${field}; restore it from its backup`);
  }
  const hubKey = createPrivateKey(file.hubKey);
  const rootKey = rawPublicKey(createPrivateKey(file.rootKey));
  return {
    rootKey,
    fingerprint: fingerprintOf(rootKey),
    epoch: file.epoch,
    documentSigner: {
      privateKey: hubKey,
      publicKey: rawPublicKey(hubKey),
      delegation: Buffer.from(file.delegation, "base64"),
    },
    contentSecret: Buffer.from(file.contentSecret, "base64"),
    tokenSecret: Buffer.from(file.tokenSecret, "base64"),
    gitKey: createPrivateKey(file.gitKey),
    authority: await openAuthority(file.authority),
    nats: natsIdentity(file.nats as NatsKeys),
  };
}

const pemOf = (key: KeyObject): string => key.export({ type: "pkcs8", format: "pem" }) as string;
