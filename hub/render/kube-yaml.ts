import { load, YAMLException } from "js-yaml";
import { kubeSchema } from "#hub/render/kube-schema.ts";
import type { Json } from "#proto/object.ts";

/** As deep as Kubernetes' own decoders allow with room to spare; a real manifest stays under 40. */
const maxDepth = 100;
/** Values a file may hold once its aliases are followed. kube-prometheus' largest CRD has 60,000. */
const maxNodes = 1_000_000;

/** One document of a file, and the line on which it begins (from 1). */
export type YamlDocument = { readonly value: Json; readonly line: number };

/** A file that is no manifest. `line` counts from 1. */
export class YamlProblem extends Error {
  override readonly name = "YamlProblem";
  readonly file: string;
  readonly line: number;
  constructor(file: string, line: number, message: string, options?: ErrorOptions) {
    super(`${file}:${line}: ${message}`, options);
    this.file = file;
    this.line = line;
  }
}

/**
 * The documents of one file, as kubectl would read them; empty ones are left out. Stricter in one thing: a key that
 * stands twice is an error, where kubectl silently takes the last. Throws YamlProblem.
 */
export function readKubeYaml(file: string, bytes: Uint8Array): YamlDocument[] {
  return documentsOf(textOf(file, bytes))
    .map(({ text, line }) => ({ value: parse(file, text, line), line }))
    .filter(({ value }) => value !== null);
}

function textOf(file: string, bytes: Uint8Array): string {
  try {
    // Without ignoreBOM a byte order mark is taken off, as kubectl does.
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new YamlProblem(file, 1, "is not UTF-8 text", { cause });
  }
}

/** kubectl cuts at lines that begin with `---` before it parses, and so do we: each error keeps its own line. */
function documentsOf(text: string): { text: string; line: number }[] {
  const documents: { text: string; line: number }[] = [];
  let lines: string[] = [];
  let begin = 1;
  const close = (next: number): void => {
    if (lines.some((line) => line.trim() !== "")) documents.push({ text: lines.join("\n"), line: begin });
    lines = [];
    begin = next;
  };
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (/^---(\s|$)/.test(line)) {
      close(index + 1);
      // What follows on the separator's own line belongs to the document.
      lines.push(line.slice(3));
    } else lines.push(line);
  }
  close(0);
  return documents;
}

function parse(file: string, text: string, line: number): Json {
  let value: unknown;
  try {
    value = isBlank(text) ? null : load(text, { schema: kubeSchema, maxDepth });
  } catch (error) {
    const at = error instanceof YAMLException ? (error.mark?.line ?? 0) : 0;
    throw new YamlProblem(file, line + at, reasonOf(error), { cause: error });
  }
  return checked(value, (problem) => new YamlProblem(file, line, problem));
}

const isBlank = (text: string): boolean => text.split("\n").every((line) => /^\s*(#.*)?$/.test(line));

const reasonOf = (error: unknown): string => {
  if (error instanceof YAMLException) return error.reason;
  return error instanceof Error ? error.message : String(error);
};

/** Follows every alias: a value inside itself never ends, and a few aliases of aliases hold more than any memory. */
function checked(value: unknown, problem: (message: string) => YamlProblem): Json {
  let nodes = 0;
  const ancestors = new Set<object>();
  const visit = (node: unknown): void => {
    nodes += 1;
    if (nodes > maxNodes) throw problem(`holds more than ${maxNodes} values once its aliases are followed`);
    if (node === null || typeof node !== "object") return;
    if (ancestors.has(node)) throw problem("holds an alias to a value that holds the alias");
    ancestors.add(node);
    for (const member of Object.values(node)) visit(member);
    ancestors.delete(node);
  };
  visit(value);
  return value as Json;
}
