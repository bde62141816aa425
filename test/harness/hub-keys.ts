import { generateKeyPairSync } from "node:crypto";
import { delegate, rawPublicKey, type Signer } from "#proto/envelope.ts";

/** A fleet's root of trust, and a hub that it lets sign documents for ever. */
export type HubKeys = { readonly rootKey: Buffer; readonly documentSigner: Signer; readonly epoch: number };

export function createHubKeys(): HubKeys {
  const root = generateKeyPairSync("ed25519").privateKey;
  const hub = generateKeyPairSync("ed25519").privateKey;
  const publicKey = rawPublicKey(hub);
  const epoch = 1;
  const grant = { hubKey: publicKey, epoch, notBeforeMs: 0, notAfterMs: Number.MAX_SAFE_INTEGER };
  const documentSigner = { privateKey: hub, publicKey, delegation: delegate(root, grant) };
  return { rootKey: rawPublicKey(root), documentSigner, epoch };
}
