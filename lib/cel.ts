import { Environment, type ASTNode } from "@marcbachmann/cel-js";
import { conditionReason, conditionStatus } from "./cel-condition.ts";
import { celValue, type CelObject } from "./cel-value.ts";

/** A CEL expression (cel-spec, with optionals) over one object named `object`, whose answer is true or false. */
export type CelRule = (object: CelObject) => CelAnswer;
export type CelAnswer =
  | { readonly ok: true; readonly holds: boolean }
  | { readonly ok: false; readonly problem: string };
export type CompiledCel =
  | { readonly ok: true; readonly evaluate: CelRule }
  | { readonly ok: false; readonly problem: string };

/** Steps that one evaluation may take: some tenths of a second on a slow core. */
const maxSteps = 1_000_000;
const maxDepth = 3;
const maxListElements = 50;
const limits = { maxAstNodes: 400, maxDepth: 30, maxListElements, maxMapEntries: 50, maxCallArguments: 8 };
const comprehensions = new Set(["all", "exists", "exists_one", "map", "filter"]);
/** What makes large values of small ones, or takes time that no length tells (regular expressions of JavaScript). */
const refused: Readonly<Record<string, string>> = {
  matches: "use startsWith, endsWith or contains",
  split: "use startsWith, endsWith or contains",
  json: "bytes are not read",
  bind: "write the value where it is used",
};

/** Reads and type-checks an expression. Whatever it accepts ends soon on an object of any size, or says that it would not. */
export function compileCel(text: string): CompiledCel {
  const environment = createEnvironment();
  try {
    const parsed = environment.parse(text);
    const steps = stepsOf(parsed.ast);
    const { valid, type = "", error } = parsed.check();
    if (!valid) throw error;
    if (type !== "bool" && type !== "dyn") return problem(`gives ${type}, and must give true or false`);
    return { ok: true, evaluate: (object) => evaluate(parsed, steps, object) };
  } catch (error) {
    return problem(summaryOf(error));
  }
}

function createEnvironment(): Environment {
  return new Environment({ enableOptionalTypes: true, homogeneousAggregateLiterals: false, limits })
    .registerVariable("object", "map")
    .registerFunction("condition(map, string): string", conditionStatus)
    .registerFunction("reason(map, string): string", conditionReason);
}

function evaluate(run: (context: object) => unknown, steps: Steps, object: CelObject): CelAnswer {
  const { value, longest } = celValue(object);
  const widest = Math.max(longest, maxListElements);
  if (steps.reduce((sum, nodes, depth) => sum + nodes * widest ** depth, 0) > maxSteps)
    return problem(`is not evaluated: it may take too long over a list of ${longest}`);
  try {
    const answer = run({ object: value });
    return typeof answer === "boolean" ? { ok: true, holds: answer } : problem("gave neither true nor false");
  } catch (error) {
    return problem(summaryOf(error));
  }
}

/** Nodes of the expression by how many comprehensions they stand in: each is a loop around them. */
type Steps = readonly number[];

function stepsOf(root: ASTNode): Steps {
  const steps: number[] = [];
  const visit = (node: ASTNode, depth: number, isInLoop: boolean): void => {
    steps[depth] = (steps[depth] ?? 0) + 1;
    const name = node.op === "call" || node.op === "rcall" ? node.args[0] : "";
    if (Object.hasOwn(refused, name)) throw new CelRefused(`${name}() is not available: ${refused[name]}`);
    if (isInLoop && node.op === "+")
      throw new CelRefused(`+ is not available in a comprehension, which could make values of any size`);
    const isLoop = node.op === "rcall" && comprehensions.has(name);
    if (isLoop && depth === maxDepth) throw new CelRefused(`comprehensions nest deeper than ${maxDepth}`);
    if (node.op === "rcall" && isLoop) {
      visit(node.args[1], depth, true);
      for (const part of node.args[2]) visit(part, depth + 1, true);
      return;
    }
    for (const part of childrenOf(node.args)) visit(part, depth, isInLoop);
  };
  visit(root, 0, false);
  return Array.from(steps, (nodes) => nodes ?? 0);
}

const childrenOf = (args: unknown): ASTNode[] =>
  Array.isArray(args) ? args.flatMap(childrenOf) : isNode(args) ? [args] : [];
const isNode = (value: unknown): value is ASTNode => typeof value === "object" && value !== null && "op" in value;

class CelRefused extends Error {}

const problem = (problem: string): { readonly ok: false; readonly problem: string } => ({ ok: false, problem });

/** The first line: the rest of the library's message draws the expression again. */
function summaryOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const summary = error.message.split("\n")[0]!;
  const range = "range" in error ? (error.range as { start?: number } | undefined) : undefined;
  return range?.start === undefined ? summary : `${summary} at character ${range.start + 1}`;
}
