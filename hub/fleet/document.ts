import type { z } from "zod";
import { apiVersion, isKindName, kinds, type Declared, type KindName } from "./kinds/kinds.ts";
import { fieldName, type FieldPath, type FleetProblem } from "./problem.ts";
import type { YamlDocument } from "./yaml.ts";

export type Origin = { readonly file: string; /** From 1. */ readonly line: number };

/** A document that is right in itself; what it names may still be missing. */
export type FleetDocument = {
  [Kind in KindName]: {
    readonly ok: true;
    readonly kind: Kind;
    readonly value: Declared<Kind>;
    readonly origin: Origin;
    readonly lineOf: (path: FieldPath) => number;
  };
}[KindName];

/** What is known of a document that is left out, so that what it spoke of can be held. */
export type FailedDocument = Origin & {
  readonly kind: KindName | null;
  readonly name: string | null;
  /** As its spec says it, unchecked. */
  readonly environment: string | null;
};

export type ReadDocument =
  | FleetDocument
  | { readonly ok: false; readonly failed: FailedDocument; readonly problems: readonly FleetProblem[] };

/** A document with more problems is not read field by field by anyone. */
export const maxProblems = 20;

/** Checks one document against the schema of its kind. */
export function readDocument(file: string, document: YamlDocument): ReadDocument {
  const problemAt = (path: FieldPath, message: string, line = document.lineOf(path)): FleetProblem => ({
    file,
    line,
    field: fieldName(path),
    message,
  });
  const fail = (problems: readonly FleetProblem[]): ReadDocument => ({
    ok: false,
    failed: failedDocument(file, document),
    problems: problems.slice(0, maxProblems),
  });
  if (document.problems.length > 0)
    return fail(document.problems.map(({ path, message, line }) => problemAt(path, message, line)));
  if (!isObject(document.value)) return fail([problemAt([], "is no fleet document: expected fields")]);
  if (document.value["apiVersion"] !== apiVersion)
    return fail([problemAt(["apiVersion"], `must be ${apiVersion}: manifests belong in another folder`)]);
  const kind = document.value["kind"];
  if (!isKindName(kind)) return fail([problemAt(["kind"], `must be one of ${Object.keys(kinds).join(", ")}`)]);
  const result = kinds[kind].safeParse(document.value, { error: messageOf });
  if (!result.success) return fail(placesOf(result.error).map(({ path, message }) => problemAt(path, message)));
  const origin = { file, line: document.line };
  return { ok: true, kind, value: result.data, origin, lineOf: document.lineOf } as FleetDocument;
}

function failedDocument(file: string, document: YamlDocument): FailedDocument {
  const kind = document.textAt(["kind"]);
  return {
    file,
    line: document.line,
    kind: isKindName(kind) ? kind : null,
    name: document.textAt(["metadata", "name"]) ?? null,
    environment: document.textAt(["spec", "environment"]) ?? null,
  };
}

/** Each unknown field is a problem of its own, at its own line. */
function placesOf(error: z.ZodError): { path: FieldPath; message: string }[] {
  return placesIn(error.issues);
}

function placesIn(issues: readonly z.core.$ZodIssue[]): { path: FieldPath; message: string }[] {
  return issues.slice(0, maxProblems).flatMap((issue) => {
    const path = issue.path.filter((part) => typeof part !== "symbol");
    const meant = issue.code === "invalid_union" ? meantShape(issue.errors) : undefined;
    if (meant !== undefined) return placesIn(meant).map((place) => ({ ...place, path: [...path, ...place.path] }));
    if (issue.code === "unrecognized_keys")
      return issue.keys.slice(0, maxProblems).map((key) => ({ path: [...path, key], message: "is no known field" }));
    if (issue.code === "invalid_key") return [{ path, message: issue.issues[0]?.message ?? issue.message }];
    return [{ path, message: issue.message }];
  });
}

/** Of several shapes, the one that has the right type and fields that are wrong: their own messages say more. */
function meantShape(shapes: readonly (readonly z.core.$ZodIssue[])[]): readonly z.core.$ZodIssue[] | undefined {
  const fitting = shapes.filter(
    (issues) => !issues.some(({ path, code }) => path.length === 0 && code === "invalid_type"),
  );
  const [only, ...others] = fitting;
  if (only === undefined || others.length > 0) return undefined;
  const speaksOfFields = only.some(
    ({ path, code }) => path.length > 0 || code === "custom" || code === "unrecognized_keys",
  );
  return speaksOfFields ? only : undefined;
}

/** Says what was expected; never what was found, which may be a secret in the wrong place. */
function messageOf(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code === "invalid_value") return `must be ${issue.values.map(String).join(" or ")}`;
  if (issue.code === "too_small") return bound(issue.origin, `at least ${issue.minimum}`);
  if (issue.code === "too_big") return bound(issue.origin, `at most ${issue.maximum}`);
  if (issue.code !== "invalid_type") return undefined;
  if (issue.input === undefined) return "is required";
  const expected = issue.expected === "record" || issue.expected === "object" ? "fields" : issue.expected;
  const quote = issue.expected === "string" && typeof issue.input !== "object" ? ": quote it" : "";
  return `must be ${expected === "array" ? "a list" : expected}${quote}`;
}

function bound(origin: string, limit: string): string {
  if (origin === "string") return `must be ${limit} characters long`;
  return origin === "array" ? `must have ${limit} in its list` : `must be ${limit}`;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
