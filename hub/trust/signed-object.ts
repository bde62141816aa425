import { sshBegin } from "./sshsig.ts";

/** A raw commit or tag, taken apart: what was signed, and what it says of itself. Nothing of it is believed yet. */
export type SignedObject = {
  readonly payload: Buffer;
  /** Armoured; empty when there is none. */
  readonly signature: string;
  /** More than one signature, which readers understand differently. */
  readonly isAmbiguous: boolean;
  /** The committer, or the tagger, and when. */
  readonly by: string;
  readonly atMs: number;
  readonly parents: readonly string[];
  /** The header's lines `object`, `type` and `tag` of a tag. */
  readonly tag: { readonly object: string; readonly type: string; readonly name: string } | undefined;
  readonly message: string;
};

const pgpBegin = "-----BEGIN PGP SIGNATURE-----";
const x509Begin = "-----BEGIN SIGNED MESSAGE-----";
export const isPgp = (signature: string): boolean => signature.startsWith(pgpBegin);
export const isSsh = (signature: string): boolean => signature.startsWith(sshBegin);
export const isX509 = (signature: string): boolean => signature.startsWith(x509Begin);

/** The header in which a repository keeps a commit's signature, by the object format of one of its ids. */
export const signatureHeader = (id: string): string => (id.length === 64 ? "gpgsig-sha256" : "gpgsig");

/** `raw` is the object's content, as `cat-file` gives it. Read byte by byte: a signature is over bytes. */
export function readCommit(id: string, raw: Buffer): SignedObject {
  const text = raw.toString("latin1");
  const headEnd = text.indexOf("\n\n") === -1 ? text.length : text.indexOf("\n\n") + 1;
  const fields = fieldsOf(text.slice(0, headEnd));
  // Git signs a commit without both headers, whichever it then writes.
  const kept = fields.filter(({ name }) => name !== "gpgsig" && name !== "gpgsig-sha256");
  const signatures = fields.filter(({ name }) => name === signatureHeader(id));
  const payload = kept.map(({ whole }) => whole).join("") + text.slice(headEnd);
  const valuesOf = (name: string): string[] => kept.filter((field) => field.name === name).map(({ value }) => value);
  return {
    payload: Buffer.from(payload, "latin1"),
    signature: signatures[0]?.value ?? "",
    isAmbiguous: signatures.length > 1,
    ...signedBy(valuesOf("committer")[0]),
    parents: valuesOf("parent"),
    tag: undefined,
    message: Buffer.from(text.slice(headEnd + 1), "latin1").toString("utf8"),
  };
}

/** A tag's signature stands at the end of its message, and everything before it is signed. */
export function readTag(raw: Buffer): SignedObject {
  const text = raw.toString("latin1");
  const headEnd = text.indexOf("\n\n") === -1 ? text.length : text.indexOf("\n\n") + 1;
  const fields = fieldsOf(text.slice(0, headEnd));
  const valueOf = (name: string): string => fields.find((field) => field.name === name)?.value ?? "";
  const begins = [pgpBegin, sshBegin, x509Begin].flatMap((begin) => placesOf(text, `\n${begin}\n`, headEnd));
  const begin = begins.length === 0 ? text.length : Math.max(...begins) + 1;
  return {
    payload: Buffer.from(text.slice(0, begin), "latin1"),
    signature: text.slice(begin),
    isAmbiguous: begins.length > 1 || fields.some(({ name }) => name.startsWith("gpgsig")),
    ...signedBy(valueOf("tagger")),
    parents: [],
    tag: { object: valueOf("object"), type: valueOf("type"), name: Buffer.from(valueOf("tag"), "latin1").toString() },
    message: Buffer.from(text.slice(headEnd + 1, begin), "latin1").toString("utf8"),
  };
}

type Field = { readonly name: string; readonly value: string; readonly whole: string };

/** Lines `name value`; a line that begins with a space goes on with the one before. */
function fieldsOf(head: string): Field[] {
  const lines = head.match(/^[^ \n][^\n]*\n?(?: [^\n]*\n?)*/gm) ?? [];
  return lines.map((whole) => {
    const at = whole.indexOf(" ");
    const value = whole
      .slice(at + 1)
      .replace(/\n$/, "")
      .replaceAll("\n ", "\n");
    return { name: whole.slice(0, at), value, whole };
  });
}

function placesOf(text: string, wanted: string, from: number): number[] {
  const places: number[] = [];
  for (let at = text.indexOf(wanted, from - 1); at !== -1; at = text.indexOf(wanted, at + 1)) places.push(at);
  return places;
}

/** `Name <address> SECONDS ZONE`. */
function signedBy(line = ""): { by: string; atMs: number } {
  const found = /^(.*) (\d{1,12}) [+-]\d{4}$/.exec(line);
  const by = Buffer.from(found?.[1] ?? line, "latin1").toString("utf8");
  return { by, atMs: Number(found?.[2] ?? Number.NaN) * 1000 };
}
