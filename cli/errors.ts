/** Exit codes, as `plumb --help` lists them. */
export const exitCode = { failed: 1, usage: 2, no: 3, notAllowed: 4, unreachable: 5, interrupted: 130 } as const;

/** An end with a reason, and what to do next. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly code: number;
  readonly advice: string;
  constructor(code: number, message: string, advice = "") {
    super(message);
    this.code = code;
    this.advice = advice;
  }
}

export const usage = (message: string): CliError => new CliError(exitCode.usage, message, "see --help");
