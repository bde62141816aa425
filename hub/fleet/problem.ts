/** Why a fleet document, or a field of it, is not what it must be. Never holds a value that may be a credential. */
export type FleetProblem = {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** As `spec.rollout.waves[0].percent`; empty for a whole document. */
  readonly field: string;
  readonly message: string;
};

export type FieldPath = readonly (string | number)[];

/** A field that cannot be read, and its place in the text. */
export class FieldProblem extends Error {
  override readonly name = "FieldProblem";
  readonly path: FieldPath;
  readonly offset: number;
  constructor(path: FieldPath, offset: number, message: string) {
    super(message);
    this.path = path;
    this.offset = offset;
  }
}

export const fieldName = (path: FieldPath): string =>
  path
    .map((part) => (typeof part === "number" ? `[${part}]` : /^[\w-]+$/.test(part) ? `.${part}` : `[${quoted(part)}]`))
    .join("")
    .replace(/^\./, "");

/** One line a problem, as compilers print them. */
export const describeProblem = ({ file, line, field, message }: FleetProblem): string =>
  `${file}:${line}: ${field === "" ? "" : `${field} `}${message}`;

const quoted = (text: string): string => JSON.stringify(text.slice(0, 80));
