import { constructFromEvents, parseEvents, YAMLException, type Event } from "js-yaml";
import { kubeSchema } from "#hub/render/kube-schema.ts";
import { jsonObjectsIn } from "#hub/render/json-stream.ts";
import { doubtsIn, type Doubt } from "#hub/render/yaml-doubts.ts";
import { offsetOf, unreadKey } from "#hub/render/yaml-events.ts";
import type { Json } from "#proto/object.ts";

/** As deep as Kubernetes' own decoders allow with room to spare; a real manifest stays under 40. */
const maxDepth = 100;
/** Values a file may hold once its aliases are followed. kube-prometheus' largest CRD has 60,000. */
const maxNodes = 1_000_000;
/** Text they may hold then: a bundle holds 10 MiB, and a few aliases of one long text hold more than any memory. */
const maxText = 16 * 1024 * 1024;
/** Lines of a file that may stand further left than YAML allows, each for another pass over it. */
const maxDeficientLines = 200;
const maxDeficientText = 32 * 1024 * 1024;

export type FieldPath = readonly (string | number)[];

/** One document of a file, and the line on which it begins (from 1). */
export type YamlDocument = {
  readonly value: Json;
  readonly line: number;
  /** Line of a field, or of the nearest one around it that was written. Reads the text again: for errors. */
  readonly lineOf: (path: FieldPath) => number;
  /** What is probably a mistake and no error: a sentence each, which names file, line and field. */
  readonly doubts: readonly string[];
};

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
 * The documents of one file, as kubectl would read them; empty ones are left out. What kubectl takes against what is
 * written is an error: a key that stands twice (it takes the last), what follows `...` (it leaves it out), a merge after
 * other keys (it lets it win), tags that it does not know (it drops them). Throws YamlProblem.
 */
export function readKubeYaml(file: string, bytes: Uint8Array): YamlDocument[] {
  return documentsOf(textOf(file, bytes))
    .flatMap(
      ({ text, line }) =>
        jsonObjectsIn(text)?.map((one) => ({ text: one.text, line: line + linesBefore(text, one.at) })) ?? [
          { text, line },
        ],
    )
    .filter(({ text }) => !isBlank(text))
    .map(({ text, line }) => readDocument(file, text, line))
    .filter(({ value }) => value !== null);
}

export function textOf(file: string, bytes: Uint8Array): string {
  try {
    // Without ignoreBOM a byte order mark is taken off, as kubectl does.
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new YamlProblem(file, 1, "is not UTF-8 text", { cause });
  }
}

/** kubectl cuts at lines that begin with `---` before it parses, and so do we: each error keeps its own line. */
export function documentsOf(text: string): { text: string; line: number }[] {
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

function readDocument(file: string, text: string, line: number): YamlDocument {
  const problemAt = (offset: number, message: string, cause?: unknown): YamlProblem =>
    new YamlProblem(file, line + linesBefore(text, offset), message, { cause });
  const lineOf = (path: FieldPath): number => {
    const { events, source } = eventsOf(text);
    return line + linesBefore(source, offsetOf(events, source, path));
  };
  const unread = text.indexOf("\u0085");
  if (unread !== -1)
    throw problemAt(unread, 'holds a NEL character, which kubectl reads as the end of a line: write "\\N"');
  let values: unknown[];
  let doubts: string[];
  try {
    const { events, source } = eventsOf(text);
    const key = unreadKey(events, source);
    if (key !== undefined) throw new YamlProblem(file, line + linesBefore(source, key.at), key.message);
    doubts = doubtsIn(events, source).map((doubt) => doubtLine(file, line, source, doubt));
    values = constructFromEvents(events, { schema: kubeSchema, source });
  } catch (error) {
    if (error instanceof YamlProblem) throw error;
    const at = error instanceof YAMLException ? (error.mark?.line ?? 0) : 0;
    throw new YamlProblem(file, line + at, reasonOf(error), { cause: error });
  }
  if (values.length > 1)
    throw new YamlProblem(
      file,
      line,
      "holds more after the `...` that ends its document, which kubectl would leave out",
    );
  const value = checked(
    values[0] ?? null,
    (message, path) => new YamlProblem(file, lineOf(path), `${fieldName(path)}${message}`),
  );
  return { value, line, lineOf, doubts };
}

/** A doubt for people; `line` is the one on which the document begins. */
export const doubtLine = (file: string, line: number, source: string, { at, path, message }: Doubt): string =>
  `${file}:${line + linesBefore(source, at)}: ${fieldName(path)}${message}`;

const linesBefore = (text: string, offset: number): number => text.slice(0, offset).split("\n").length - 1;

/** `spec.ports[0].port `, or nothing for the document itself. */
export const fieldName = (path: FieldPath): string =>
  path.length === 0
    ? ""
    : `${path.map((segment, n) => (typeof segment === "number" ? `[${segment}]` : `${n === 0 ? "" : "."}${segment}`)).join("")} `;

/**
 * What stands between brackets or quotation marks may go on at the very left for kubectl, and not for YAML 1.2: such a
 * line is moved to the right, which changes nothing of what it says.
 */
export function eventsOf(text: string): { events: Event[]; source: string } {
  let source = text;
  for (let passes = 0; ; passes += 1)
    try {
      return { events: parseEvents(source, { maxDepth }), source };
    } catch (error) {
      const isDeficient = error instanceof YAMLException && error.reason === "deficient indentation";
      if (!isDeficient || passes === maxDeficientLines || passes * source.length > maxDeficientText) throw error;
      const lines = source.split("\n");
      const { line } = error.mark!;
      if (lines[line]!.startsWith(deep)) throw error;
      lines[line] = `${deep}${lines[line]!}`;
      source = lines.join("\n");
    }
}

/** Deeper than any collection may begin within `maxDepth` levels of a readable file. */
const deep = " ".repeat(400);

const isBlank = (text: string): boolean => text.split("\n").every((line) => /^\s*(#.*)?$/.test(line));

const reasonOf = (error: unknown): string => {
  if (error instanceof YAMLException) return error.reason;
  return error instanceof Error ? error.message : String(error);
};

/** Follows every alias: a value inside itself never ends, and a few aliases of aliases hold more than any memory. */
function checked(value: unknown, problem: (message: string, path: FieldPath) => YamlProblem): Json {
  let nodes = 0;
  let bytes = 0;
  const path: (string | number)[] = [];
  const ancestors = new Set<object>();
  const fail = (message: string): never => {
    throw problem(message, path);
  };
  const visitText = (text: string): void => {
    bytes += text.length;
    if (bytes > maxText) fail(`holds more than ${maxText / 1024 / 1024} MiB of text once its aliases are followed`);
    if (!text.isWellFormed()) fail("holds half of a character (a lone surrogate)");
  };
  const visit = (node: unknown): void => {
    nodes += 1;
    if (nodes > maxNodes) fail(`holds more than ${maxNodes} values once its aliases are followed`);
    if (typeof node === "string") visitText(node);
    if (typeof node === "number" && !Number.isFinite(node)) fail("is .nan or .inf, which is not a JSON number");
    if (node === null || typeof node !== "object") return;
    if (ancestors.has(node)) fail("holds an alias to a value that holds the alias");
    ancestors.add(node);
    for (const [key, member] of Object.entries(node)) {
      path.push(Array.isArray(node) ? Number(key) : key);
      if (!Array.isArray(node)) visitText(key);
      visit(member);
      path.pop();
    }
    ancestors.delete(node);
  };
  visit(value);
  return value as Json;
}
