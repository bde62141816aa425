import { isAlias, isMap, isScalar, isSeq, type Node, type Scalar, type YAMLMap } from "yaml";
import { FieldProblem, type FieldPath } from "./problem.ts";

/** Deeper than any fleet document; shallow enough for every recursive reader after this one. */
const maxDepth = 64;
/** Aliases followed in one document. Nine aliases of aliases of nine hold more values than any memory. */
const maxAliases = 100;
/** Values of one document once its aliases are followed. */
const maxValues = 100_000;

/** Helm reads the values of a chart as YAML 1.1 has them: people copy them here from files that it read. */
const valuesPath = ["spec", "source", "helm", "values"];
const otherwise: readonly (readonly [written: RegExp, read: string])[] = [
  [/^(?:y|Y|yes|Yes|YES|on|On|ON)$/, "true"],
  [/^(?:n|N|no|No|NO|off|Off|OFF)$/, "false"],
  [/^[-+]?0(?:[0-7]+|b[01_]+)$/, "another number"],
  [/^[-+]?\d[\d_]*_[\d_]*(?:\.[\d_]*)?$/, "a number"],
];

// Digits that a person means as text: a commit id of digits only, and Kubernetes 1.30, which is not 1.3.
const keptAsWritten = new Set(["spec.revision", "spec.kubernetes.version"]);

/** The plain value of a parsed document, bounded in depth and size, with no key twice. Throws FieldProblem. */
export function toValue(root: Node | null): unknown {
  const budget = { aliases: maxAliases, values: maxValues };
  const anchors = new Map<string, Node>();
  const open = new Set<Node>();

  const visit = (node: Node | null, path: FieldPath): unknown => {
    if (node === null) return null;
    const refuse = (message: string): never => {
      throw new FieldProblem(path, node.range?.[0] ?? 0, message);
    };
    budget.values -= 1;
    if (budget.values < 0) refuse(`is too large: a document holds at most ${maxValues} values`);
    if (path.length > maxDepth) refuse(`is nested deeper than ${maxDepth} levels`);
    if (isAlias(node)) {
      const target = anchors.get(node.source);
      budget.aliases -= 1;
      if (budget.aliases < 0) refuse(`uses an alias too many: a document has at most ${maxAliases}`);
      if (!target || open.has(target)) return refuse("is an alias of a value that holds it or that comes later");
      return visit(target, path);
    }
    if ("anchor" in node && typeof node.anchor === "string") anchors.set(node.anchor, node);
    if (isScalar(node)) return scalarOf(node, path, refuse);
    open.add(node);
    const value = isMap<Node, Node | null>(node)
      ? mapOf(node, path, visit)
      : isSeq<Node>(node)
        ? node.items.map((item, index) => visit(item, [...path, index]))
        : refuse("is of no known kind of YAML value");
    open.delete(node);
    return value;
  };
  return visit(root, []);
}

const isValue = (path: FieldPath): boolean =>
  path.length > valuesPath.length && valuesPath.every((name, n) => path[n] === name);

function mapOf(
  map: YAMLMap<Node, Node | null>,
  path: FieldPath,
  visit: (node: Node | null, path: FieldPath) => unknown,
): Record<string, unknown> {
  const members = new Map<string, unknown>();
  for (const { key, value } of map.items) {
    const offset = key.range?.[0] ?? map.range?.[0] ?? 0;
    if (!isScalar(key) || typeof key.value !== "string")
      throw new FieldProblem(path, offset, "has a key that is no text: quote it");
    const inside = [...path, key.value];
    if (members.has(key.value)) throw new FieldProblem(inside, offset, "stands here twice: keep one");
    members.set(key.value, visit(value, inside));
  }
  // Own properties whatever their names: `__proto__` is a field like any other, and an unknown one.
  return Object.fromEntries(members);
}

function scalarOf(scalar: Scalar, path: FieldPath, refuse: (message: string) => never): unknown {
  const { value, source = "" } = scalar;
  const read = scalar.type === "PLAIN" && isValue(path) && otherwise.find(([written]) => written.test(source))?.[1];
  if (typeof read === "string")
    return refuse(
      `is ${source}, which Helm reads as ${read} and this document does not: write it out, or put it in quotes`,
    );
  if (typeof value !== "number") return value;
  if (keptAsWritten.has(path.join(".")) && source !== "") return source;
  if (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value)))
    return refuse("is no number that can be kept exactly: quote it if it is text");
  return value;
}
