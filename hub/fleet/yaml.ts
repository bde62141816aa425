import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Document, type Node } from "yaml";
import { FieldProblem, type FieldPath } from "./problem.ts";
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

function readDocument(text: string, firstLine: number): YamlDocument {
  const lines = new LineCounter();
  const lineAt = (offset: number): number => firstLine - 1 + Math.max(1, lines.linePos(offset).line);
  let document: Document.Parsed;
  try {
    // Pretty errors quote the source, which may hold a credential; double keys are found in one pass by `toValue`.
    document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false, logLevel: "silent" });
  } catch {
    return unreadable(firstLine, "is nested too deeply");
  }
  const root = document.contents;
  const located = (path: FieldPath): number => lineAt(offsetOf(root, path, document));
  const base = {
    line: lineAt(root?.range[0] ?? 0),
    lineOf: located,
    textAt: (path: FieldPath) => textOf(nodeAt(root, path, document)),
  };
  const flaws = [...document.errors, ...document.warnings];
  if (flaws.length > 0) {
    const problems = flaws.map(({ pos, message }) => ({
      line: lineAt(pos[0]),
      path: [],
      message: `is no YAML: ${message}`,
    }));
    return { ...base, value: undefined, problems };
  }
  try {
    return { ...base, value: toValue(root), problems: [] };
  } catch (error) {
    if (!(error instanceof FieldProblem)) throw error;
    const { path, message, offset } = error;
    return { ...base, value: undefined, problems: [{ line: lineAt(offset), path, message }] };
  }
}

const unreadable = (line: number, message: string): YamlDocument => ({
  line,
  value: undefined,
  problems: [{ line, path: [], message }],
  lineOf: () => line,
  textAt: () => undefined,
});

/** Of the key that names the field, or of the item: where a person would look. */
function offsetOf(root: Node | null, path: FieldPath, document: Document): number {
  let offset = root?.range?.[0] ?? 0;
  let node = root;
  for (const segment of path) {
    const found = memberOf(node, segment, document);
    if (!found) return offset;
    ({ offset, node } = found);
  }
  return offset;
}

function nodeAt(root: Node | null, path: FieldPath, document: Document): Node | null {
  let node = root;
  for (const segment of path) node = memberOf(node, segment, document)?.node ?? null;
  return node;
}

type Member = { readonly offset: number; readonly node: Node | null };

function memberOf(node: Node | null, segment: string | number, document: Document): Member | undefined {
  const inside = isAlias(node) ? node.resolve(document) : node;
  if (isMap<Node, Node | null>(inside)) {
    const pair = inside.items.find(({ key }) => isScalar(key) && key.value === segment);
    return pair && { offset: pair.key.range?.[0] ?? 0, node: pair.value };
  }
  const item = isSeq<Node>(inside) && typeof segment === "number" ? inside.items[segment] : undefined;
  return item && { offset: item.range?.[0] ?? 0, node: item };
}

const textOf = (node: Node | null): string | undefined => {
  if (!isScalar(node)) return undefined;
  return node.source ?? (typeof node.value === "string" ? node.value : undefined);
};
