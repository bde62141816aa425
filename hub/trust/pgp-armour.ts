const begin = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
const end = "-----END PGP PUBLIC KEY BLOCK-----";
/** Packet tags of RFC 9580: a public key comes first; secret keys have no place in Git. */
const publicKeyTag = 6;

/** Undefined when a text looks like one or more armoured public keys. Whether they can be used is found out when they are. */
export function pgpKeyProblem(text: string): string | undefined {
  const lines = text.trim().split(/\r?\n/);
  if (lines.some((line) => line.includes("PRIVATE KEY")))
    return "is a private key: take it out, make a new one, and export that one's public key";
  if (lines[0] !== begin || lines.at(-1) !== end) return `must begin with ${begin} and end with ${end}`;
  const blank = lines.findIndex((line) => line.trim() === "");
  const headersEnd = blank === -1 ? 1 : blank + 1;
  // The last line that begins with `=` is a checksum, which RFC 9580 no longer asks for.
  const body = lines.slice(headersEnd, -1).filter((line) => !line.startsWith("="));
  if (body.length === 0 || !body.every((line) => /^[A-Za-z0-9+/]+=*$/.test(line.trim()))) return "is not base64 inside";
  const [first = 0] = Buffer.from(body.join(""), "base64");
  const tag = (first & 0x40) === 0 ? (first >> 2) & 0x0f : first & 0x3f;
  return (first & 0x80) !== 0 && tag === publicKeyTag ? undefined : "holds something else than a public key";
}
