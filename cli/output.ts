import { stripVTControlCharacters } from "node:util";
import { yamlText } from "#lib/yaml-text.ts";
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

/** Subjects of commits and messages of servers are strangers' words: none of them moves the cursor. */
export const plain = (text: string): string => text.replace(/[\p{Cc}\p{Cf}]+/gu, " ");

/** What begins an order to the terminal. */
const escape = "\u001b";
/** Nothing but what `symbol` makes, which may keep its colours. */
const symbolsAlone = new RegExp(
  String.raw`^(?:${escape}\[(?:3[1-4]|90)m[^\p{Cc}\p{Cf}]*${escape}\[0m(?: {2})?)+$`,
  "u",
);

/** Between two columns. */
const gap = 2;
/** No column is made narrower than this while another is wider: below it, a name says nothing. */
const leastWidth = 8;

/** Rows as aligned columns. Within `width` the widest columns give way, so that a line stays a line; on a pipe none does. */
export function table(
  head: readonly string[],
  found: readonly (readonly string[])[],
  width: number | undefined,
): string {
  const rows = found.map((cells) => cells.map((cell) => (symbolsAlone.test(cell) ? cell : plain(cell))));
  const widest = head.map((title, column) =>
    Math.max(...[title, ...rows.map((row) => row[column] ?? "")].map(visible)),
  );
  const widths = width === undefined ? widest : shrunk(widest, width);
  const line = (cells: readonly string[]): string => {
    const padded = cells.map((cell, column) => {
      const fitted = cut(cell, widths[column]);
      return column === cells.length - 1 ? fitted : pad(fitted, widths[column]! + gap);
    });
    return cut(padded.join("").trimEnd(), width);
  };
  return `${[head, ...rows].map(line).join("\n")}\n`;
}

const visible = (text: string): number => Array.from(stripVTControlCharacters(text)).length;
const pad = (text: string, width: number): string => text + " ".repeat(Math.max(0, width - visible(text)));

/** The widest column gives way first, of equal ones the last. */
function shrunk(widest: readonly number[], width: number): number[] {
  const widths = [...widest];
  let over = widths.reduce((sum, each) => sum + each + gap, -gap) - width;
  for (; over > 0; over -= 1) {
    const column = widths.lastIndexOf(Math.max(...widths));
    if (widths[column]! <= leastWidth) break;
    widths[column]! -= 1;
  }
  return widths;
}

// A cell or line that is cut loses its colours too: an escape that is cut in half would colour all that follows.
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
  return config.colour ? `${escape}[${colour}m${shown}${escape}[0m` : shown;
}

/** Data to stdout, in the form that was asked for. */
export function print(format: Format, data: unknown, asTable: () => string, names: () => readonly string[]): void {
  process.stdout.write(render(format, data, asTable, names));
}

/** The text of an answer in the form that was asked for. */
export function render(format: Format, data: unknown, asTable: () => string, names: () => readonly string[]): string {
  if (format === "json") return `${stringifyJson(data, 2)}\n`;
  if (format === "yaml") return yamlText(data);
  return format === "name"
    ? names()
        .map((name) => `${name}\n`)
        .join("")
    : asTable();
}

/** A remark beside the data: to stderr. */
export const hint = (text: string): void => void process.stderr.write(`${text}\n`);

export const shortRevision = (revision: string): string => revision.slice(0, 7);
