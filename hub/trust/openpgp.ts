import { config, createMessage, readKeys, readSignature, verify, type Key } from "openpgp";
import type { SignerKeys } from "./signer-keys.ts";
import type { Verdict } from "./verdict.ts";

export type PgpSigner = { readonly name: string; readonly keys: readonly Key[]; readonly problem: string };

/** A key that was edited has younger self-signatures than what it signed before; it must then be valid now. */
const settings = { ...config, allowInsecureVerificationWithReformattedKeys: true };

export async function pgpSignersOf(signers: readonly SignerKeys[]): Promise<PgpSigner[]> {
  const read = async (name: string, armoredKeys: string): Promise<PgpSigner> => {
    try {
      const keys = await readKeys({ armoredKeys });
      return keys.some((key) => key.isPrivate())
        ? { name, keys: [], problem: "holds a private key" }
        : { name, keys, problem: "" };
    } catch (error) {
      return { name, keys: [], problem: error instanceof Error ? error.message : String(error) };
    }
  };
  return Promise.all(signers.flatMap(({ name, pgp }) => pgp.map((block) => read(name, block))));
}

/**
 * Whether one of these keys made this signature, by the rules of RFC 9580: its subkey bound and able to sign, neither
 * expired when it signed, nor revoked: a key that was stolen counts no more for anything, one that was retired from then on.
 */
export async function checkPgp(signers: readonly PgpSigner[], armoured: string, payload: Buffer): Promise<Verdict> {
  const refused = (because: string): Verdict => ({ kind: "refused", because });
  let signature;
  try {
    signature = await readSignature({ armoredSignature: armoured });
  } catch {
    return refused("has an OpenPGP signature that cannot be read");
  }
  if (signature.packets.length !== 1) return refused(`has ${signature.packets.length} OpenPGP signatures in one`);
  const [keyId] = signature.getSigningKeyIDs();
  const shown = keyId?.toHex().toUpperCase() ?? "";
  let problem = `is signed by the OpenPGP key ${shown}, which is no signer's`;
  for (const { name, keys } of signers)
    for (const key of keys) {
      if (keyId === undefined || key.getKeys(keyId).length === 0) continue;
      const message = await createMessage({ binary: new Uint8Array(payload) });
      const result = await verify({ message, signature, verificationKeys: [key], format: "binary", config: settings });
      try {
        await result.signatures[0]!.verified;
        return { kind: "signed", by: name, key: key.getFingerprint().toUpperCase() };
      } catch (error) {
        problem = `is signed by ${name}'s OpenPGP key ${shown}, but ${reasonOf(error)}`;
      }
    }
  const unread = signers.filter(({ problem }) => problem !== "");
  const hint = unread.map(({ name, problem }) => ` (the key of ${name} cannot be read: ${problem})`).join("");
  return refused(problem + hint);
}

const reasonOf = (error: unknown): string => {
  const text = error instanceof Error ? error.message : String(error);
  return text
    .replace(/^(?:Error verifying signed message: |Error: )+/, "")
    .replaceAll(/\s+/g, " ")
    .slice(0, 200);
};
