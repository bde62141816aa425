import { stripVTControlCharacters } from "node:util";
import { stringify } from "yaml";
import type { CliConfig } from "#cli/config.ts";
import { usage } from "#cli/errors.ts";
import { stringifyJson } from "#proto/json.ts";
import type { HealthWord } from "#proto/api.ts";

export { age } from "#lib/age.ts";

export type Format = "table" | "wide" | "json" | "yaml" | "name";

export const parseFormat = (text: string): Format => {
  if (["table", "wide", "json", "yaml", "name"].includes(text)) return text as Format;
  throw usage(`-o ${text} is no format: there are table, wide, json, yaml and name`);
};

/** Rows as aligned columns. Cut from the right to `width`, so that a line stays a line; never cut on a pipe. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  width: number | undefined,
): string {
  const widths = head.map((title, column) =>
    Math.max(...[title, ...rows.map((row) => row[column] ?? "")].map(visible)),
  );
  const line = (cells: readonly string[]): string => {
    const padded = cells.map((cell, column) => (column === cells.length - 1 ? cell : pad(cell, widths[column]! + 2)));
    return cut(padded.join("").trimEnd(), width);
  };
  return `${[head, ...rows].map(line).join("\n")}\n`;
}

const visible = (text: string): number => Array.from(stripVTControlCharacters(text)).length;
const pad = (text: string, width: number): string => text + " ".repeat(Math.max(0, width - visible(text)));

// A line that is cut loses its colours too: an escape that is cut in half would colour all that follows.
function cut(line: string, width: number | undefined): string {
  if (width === undefined || visible(line) <= width) return line;
  return `${Array.from(stripVTControlCharacters(line))
    .slice(0, width - 1)
    .join("")}…`;
}

const symbols: Readonly<Record<HealthWord | "Drifted", { sign: string; plain: string; colour: number }>> = {
  Current: { sign: "✔", plain: "ok", colour: 32 },
  InProgress: { sign: "◐", plain: "..", colour: 34 },
  Failed: { sign: "✖", plain: "!!", colour: 31 },
  NotFound: { sign: "✖", plain: "!!", colour: 31 },
  Terminating: { sign: "◐", plain: "..", colour: 34 },
  Unknown: { sign: "?", plain: "?", colour: 90 },
  Drifted: { sign: "▲", plain: "~", colour: 33 },
};

/** A state as a sign, coloured on a terminal alone. */
export function symbol(config: CliConfig, word: HealthWord | "Drifted", text = ""): string {
  const { sign, plain, colour } = symbols[word];
  const shown = `${config.unicode ? sign : plain}${text === "" ? "" : ` ${text}`}`;
  return config.colour ? `\u001b[${colour}m${shown}\u001b[0m` : shown;
}

/** Data to stdout, in the form that was asked for. */
export function print(
  format: Format,
  data: unknown,
  asTable: () => string,
  names: () => readonly string[] = () => [],
): void {
  process.stdout.write(render(format, data, asTable, names));
}

/** The text of an answer in the form that was asked for. */
export function render(format: Format, data: unknown, asTable: () => string, names: () => readonly string[]): string {
  if (format === "json") return `${stringifyJson(data, 2)}\n`;
  if (format === "yaml") return stringify(data);
  return format === "name"
    ? names()
        .map((name) => `${name}\n`)
        .join("")
    : asTable();
}

/** A remark beside the data: to stderr. */
export const hint = (text: string): void => void process.stderr.write(`${text}\n`);

export const shortRevision = (revision: string): string => revision.slice(0, 7);
