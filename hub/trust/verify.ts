import { isPgp, isSsh, isX509, readCommit, readTag, type SignedObject } from "./signed-object.ts";
import { sshSignersOf, type SignerKeys, type SshSigner } from "./signer-keys.ts";
import { checkSshSignature, readSshSignature } from "./sshsig.ts";
import type { Verdict } from "./verdict.ts";

/** An object as it is stored. Of a tag, also the name and the commit that it must have. */
export type ToVerify =
  | { readonly id: string; readonly raw: Uint8Array }
  | { readonly tag: { readonly name: string; readonly commit: string }; readonly raw: Uint8Array };

/** Checks OpenPGP signatures against the keys of these signers. */
export type PgpChecker = (
  signers: readonly SignerKeys[],
) => Promise<(signature: string, payload: Buffer) => Promise<Verdict>>;

const refused = (because: string): Verdict => ({ kind: "refused", because });

/** A verdict each, in order. Without `pgp`, what is signed by OpenPGP is refused. */
export async function verifyAll(
  objects: readonly ToVerify[],
  signers: readonly SignerKeys[],
  pgp?: PgpChecker,
): Promise<Verdict[]> {
  const ssh = sshSignersOf(signers);
  const checkPgp = await pgp?.(signers);
  const check = async (object: SignedObject): Promise<Verdict> => {
    if (object.isAmbiguous) return refused("has more than one signature");
    if (object.signature === "") return refused("is not signed");
    if (isSsh(object.signature)) return checkSsh(ssh, object);
    if (isPgp(object.signature) && checkPgp !== undefined) return checkPgp(object.signature, object.payload);
    return refused(
      isX509(object.signature)
        ? "is signed with an X.509 certificate: only SSH and OpenPGP keys are read"
        : "has a signature of an unknown kind",
    );
  };
  const verdicts: Verdict[] = [];
  for (const object of objects) {
    const read = readObject(object);
    const mistaken = "tag" in object ? otherTag(read, object.tag) : undefined;
    verdicts.push(mistaken === undefined ? await check(read) : refused(mistaken));
  }
  return verdicts;
}

export const isSignedByPgp = (object: ToVerify): boolean => isPgp(readObject(object).signature);

const readObject = (object: ToVerify): SignedObject =>
  "tag" in object ? readTag(Buffer.from(object.raw)) : readCommit(object.id, Buffer.from(object.raw));

/** A signed tag under another name, or at another commit, is somebody else's statement. */
function otherTag(
  { tag }: SignedObject,
  expected: { readonly name: string; readonly commit: string },
): string | undefined {
  const { name, object, type } = tag!;
  if (name !== expected.name) return `says that it is the tag ${JSON.stringify(name)}`;
  return type === "commit" && object === expected.commit
    ? undefined
    : `says that it is of the ${type} ${object.slice(0, 7)}`;
}

function checkSsh(signers: readonly SshSigner[], { signature, payload, atMs }: SignedObject): Verdict {
  const read = readSshSignature(signature);
  if (read === undefined) return refused("has an SSH signature that cannot be read");
  const own = signers.filter(({ allowed }) => allowed.key.fingerprint === read.fingerprint);
  if (own.length === 0) return refused(`is signed by the SSH key ${read.fingerprint}, which is no signer's`);
  if (Number.isNaN(atMs)) return refused("does not say when it was made");
  let problem = "";
  for (const { name, allowed } of own) {
    const found = checkSshSignature(allowed, read, payload, atMs);
    if (found === undefined) return { kind: "signed", by: name, key: read.fingerprint };
    problem = `is signed by ${name}'s SSH key ${read.fingerprint}, but ${found}`;
  }
  return refused(problem);
}
