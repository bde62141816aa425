import type { FieldChange, ObjectChange } from "#cli/offline/compare.ts";
import { compareLines } from "#cli/offline/line-diff.ts";
import { plain } from "#cli/output.ts";

/** Longer values are shown where they begin to differ; the whole is for -o json. */
const shownCharacters = 120;
/** What stands before that place. */
const shownBefore = 40;
/** Of one object that is new or gone, and of one text that changed: a CRD has ten thousand. */
const shownFields = 20;
const shownLines = 30;

const colours = { added: 32, removed: 31, changed: 33 } as const;
const signs = { added: "+", removed: "-", changed: "~" } as const;

/** What differs, as people read it: an object a paragraph, a field a line, texts of several lines by their lines. */
export function changesText(changes: readonly ObjectChange[], isColoured: boolean): string {
  const paint = (colour: number, text: string): string => (isColoured ? `\u001b[${colour}m${text}\u001b[0m` : text);
  return changes
    .map(({ object, kind, fields }) => {
      const shown = kind === "changed" ? fields : fields.slice(0, shownFields);
      const lines = shown.flatMap((field) => fieldLines(field, paint));
      const more = fields.length - shown.length;
      if (more > 0) lines.push(`… and ${more} more fields: -o json shows them`);
      return [paint(colours[kind], `${signs[kind]} ${plain(object)}`), ...lines.map((line) => `    ${line}`)].join(
        "\n",
      );
    })
    .map((paragraph) => `${paragraph}\n`)
    .join("");
}

type Paint = (colour: number, text: string) => string;

function fieldLines({ path, before, after }: FieldChange, paint: Paint): string[] {
  const name = plain(path);
  if (before === null || after === null) {
    const [sign, colour] = before === null ? ["+", colours.added] : ["-", colours.removed];
    return [paint(colour, `${sign} ${name}  ${windowOf((before ?? after)!, 0)}`)];
  }
  const [was, is] = [textIn(before), textIn(after)];
  if (was !== undefined && is !== undefined) return textLines(name, was, is, paint);
  const from = before.length > shownCharacters || after.length > shownCharacters ? firstDifference(before, after) : 0;
  return [
    `${name}  ${paint(colours.removed, windowOf(before, from))} → ${paint(colours.added, windowOf(after, from))}`,
  ];
}

function textLines(name: string, was: string, is: string, paint: Paint): string[] {
  const lines = compareLines(was, is).flatMap(({ line, removed, added }) => [
    `${name}  line ${line}`,
    ...removed.map((text) => paint(colours.removed, `  - ${windowOf(text, 0)}`)),
    ...added.map((text) => paint(colours.added, `  + ${windowOf(text, 0)}`)),
  ]);
  const more = lines.length - shownLines;
  return more > 0 ? [...lines.slice(0, shownLines), `  … and ${more} more lines: -o json shows them`] : lines;
}

/** The text of a JSON string that has several lines. */
function textIn(json: string): string | undefined {
  return json.startsWith('"') && json.includes("\\n") ? (JSON.parse(json) as string) : undefined;
}

function firstDifference(before: string, after: string): number {
  let at = 0;
  while (at < before.length && before[at] === after[at]) at += 1;
  return at;
}

function windowOf(text: string, around: number): string {
  const from = around <= shownBefore ? 0 : around - shownBefore;
  const shown = text.slice(from, from + shownCharacters);
  return plain(`${from > 0 ? "…" : ""}${shown}${from + shown.length < text.length ? "…" : ""}`);
}
