import { sign, type KeyObject } from "node:crypto";
import { gitNamespace, parseAllowedSigner } from "#hub/trust/allowed-signers.ts";
import { readCommit } from "#hub/trust/signed-object.ts";
import { sshString } from "#hub/trust/ssh-wire.ts";
import { checkSshSignature, framedForSshSignature, readSshSignature, sshBegin, sshEnd } from "#hub/trust/sshsig.ts";
import { rawPublicKey } from "#proto/envelope.ts";

/** Signs commits as `git verify-commit` checks them with gpg.format=ssh. */
export type GitSigner = {
  /** "ssh-ed25519 AAAA...": for an allowed-signers file. */
  readonly publicKey: string;
  /** An armoured SSHSIG over the commit's text. */
  sign(payload: Uint8Array): string;
};

const hash = "sha512";

export function createGitSigner(privateKey: KeyObject): GitSigner {
  const blob = publicBlob(rawPublicKey(privateKey));
  return {
    publicKey: `ssh-ed25519 ${blob.toString("base64")}`,
    sign(payload) {
      const signature = Buffer.concat([
        sshString("ssh-ed25519"),
        sshString(sign(null, framedForSshSignature(gitNamespace, hash, payload), privateKey)),
      ]);
      const body = Buffer.concat([
        Buffer.from("SSHSIG"),
        Buffer.from([0, 0, 0, 1]),
        ...[blob, gitNamespace, "", hash, signature].map(sshString),
      ]);
      const lines = body.toString("base64").match(/.{1,70}/g) ?? [];
      return [sshBegin, ...lines, sshEnd].join("\n");
    },
  };
}

/** Whether this raw commit object is signed by this ed25519 key ("ssh-ed25519 AAAA..."), as `createGitSigner` signs. */
export function isSignedBy(id: string, commit: string | Uint8Array, publicKey: string): boolean {
  const signer = parseAllowedSigner(`hub ${publicKey}`);
  if (typeof signer === "string") return false;
  const { payload, signature, isAmbiguous } = readCommit(id, Buffer.from(commit as string));
  const read = readSshSignature(signature);
  if (read === undefined || isAmbiguous || read.hash !== hash) return false;
  if (read.fingerprint !== signer.key.fingerprint) return false;
  return checkSshSignature(signer, read, payload, 0) === undefined;
}

const publicBlob = (raw: Uint8Array): Buffer => Buffer.concat([sshString("ssh-ed25519"), sshString(raw)]);
