import { createHash } from "node:crypto";
import { parseAllowedSigner, type AllowedSigner } from "./allowed-signers.ts";

/** Somebody whose signature counts, as their document names their keys. */
export type SignerKeys = {
  readonly name: string;
  /** Lines of an allowed-signers file. */
  readonly ssh: readonly string[];
  /** Armoured OpenPGP public keys; a block may hold several. */
  readonly pgp: readonly string[];
};

/** Equal keys give the same verdicts. */
export const identityOf = (signers: readonly SignerKeys[]): string =>
  createHash("sha256")
    .update(JSON.stringify(signers.map(({ name, ssh, pgp }) => [name, ssh, pgp])))
    .digest("base64");

export type SshSigner = { readonly name: string; readonly allowed: AllowedSigner };

/** Lines were checked when their document was read; one that is none all the same lets nobody in. */
export const sshSignersOf = (signers: readonly SignerKeys[]): SshSigner[] =>
  signers.flatMap(({ name, ssh }) =>
    ssh.flatMap((line) => {
      const allowed = parseAllowedSigner(line);
      return typeof allowed === "string" ? [] : [{ name, allowed }];
    }),
  );
