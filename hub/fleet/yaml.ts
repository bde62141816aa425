import { LineCounter, parseDocument, type Document } from "yaml";
import { FieldProblem, type FieldPath } from "./problem.ts";
import { offsetOf, textAt } from "./yaml-places.ts";
import { toValue } from "./yaml-value.ts";

/** One YAML document as it was written. `value` is undefined when `problems` says why it cannot be read. */
export type YamlDocument = {
  /** Of its first field, from 1. */
  readonly line: number;
  readonly value: unknown;
  readonly problems: readonly { readonly line: number; readonly path: FieldPath; readonly message: string }[];
  /** Line of a field, or of the nearest one around it that was written. */
  readonly lineOf: (path: FieldPath) => number;
  /** The text of a field, also when the document around it is broken. */
  readonly textAt: (path: FieldPath) => string | undefined;
};

/** The documents of a text; empty ones are left out. Cut at `---` first, so that one broken document spoils no other. */
export function readYaml(text: string): YamlDocument[] {
  return cutDocuments(text).map(({ text, line }) => readDocument(text, line));
}

function cutDocuments(text: string): { text: string; line: number }[] {
  const cuts: { lines: string[]; line: number }[] = [{ lines: [], line: 1 }];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (/^---(\s|$)/.test(line)) cuts.push({ lines: [line.slice(3)], line: index + 1 });
    else cuts.at(-1)!.lines.push(line);
  }
  const written = cuts.filter(({ lines }) => lines.some((line) => !/^\s*(#.*)?$/.test(line)));
  return written.map(({ lines, line }) => ({ text: lines.join("\n"), line }));
}

// The parser's own words for it are those of a stack that overflowed.
const tooDeep = "is nested too deeply";

function readDocument(text: string, firstLine: number): YamlDocument {
  const tree = parse(text, firstLine);
  if (!tree) return unreadable(firstLine, tooDeep);
  const { document, lineAt } = tree;
  const problems = [...document.errors, ...document.warnings].map(({ pos, message }) => ({
    line: lineAt(pos[0]),
    path: [],
    message: /call stack/.test(message) ? tooDeep : `is no YAML: ${message}`,
  }));
  // Places are asked for by problems alone. A reader that remembers documents must not remember their trees, which are
  // many times larger than the text.
  let again = problems.length > 0 ? tree : undefined;
  const places = (): Tree => (again ??= parse(text, firstLine)!);
  const base = {
    line: lineAt(document.contents?.range[0] ?? 0),
    lineOf: (path: FieldPath) => places().lineAt(offsetOf(places().document, path)),
    textAt: (path: FieldPath) => textAt(places().document, path),
  };
  if (problems.length > 0) return { ...base, value: undefined, problems };
  try {
    return { ...base, value: toValue(document.contents), problems };
  } catch (error) {
    if (!(error instanceof FieldProblem)) throw error;
    const { path, message, offset } = error;
    return { ...base, value: undefined, problems: [{ line: lineAt(offset), path, message }] };
  }
}

type Tree = { readonly document: Document.Parsed; readonly lineAt: (offset: number) => number };

/** Undefined when the text is nested deeper than the parser's own stack. */
function parse(text: string, firstLine: number): Tree | undefined {
  const lineCounter = new LineCounter();
  try {
    // Pretty errors quote the source, which may hold a credential; double keys are found in one pass by `toValue`.
    const document = parseDocument(text, { lineCounter, prettyErrors: false, uniqueKeys: false, logLevel: "silent" });
    return { document, lineAt: (offset) => firstLine - 1 + Math.max(1, lineCounter.linePos(offset).line) };
  } catch {
    return undefined;
  }
}

const unreadable = (line: number, message: string): YamlDocument => ({
  line,
  value: undefined,
  problems: [{ line, path: [], message }],
  lineOf: () => line,
  textAt: () => undefined,
});
