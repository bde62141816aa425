/** Lines that stand between two that both texts have; `line` counts from 1, in the newer text. */
export type LineChange = {
  readonly line: number;
  readonly removed: readonly string[];
  readonly added: readonly string[];
};

/** A table of so many cells takes some milliseconds; beyond it what lies between equal ends is one change. */
const maxCells = 1_000_000;

/** How one text of several lines became another: the fewest lines that say it. */
export function compareLines(before: string, after: string): LineChange[] {
  const [old, now] = [before.split("\n"), after.split("\n")];
  let begin = 0;
  while (begin < old.length && begin < now.length && old[begin] === now[begin]) begin += 1;
  let end = 0;
  const rest = Math.min(old.length, now.length) - begin;
  while (end < rest && old[old.length - 1 - end] === now[now.length - 1 - end]) end += 1;
  const [was, is] = [old.slice(begin, old.length - end), now.slice(begin, now.length - end)];
  if (was.length === 0 && is.length === 0) return [];
  return was.length * is.length > maxCells
    ? [{ line: begin + 1, removed: was, added: is }]
    : changesBetween(was, is, commonLengths(was, is), begin);
}

/** Of each pair of places, how many lines the texts from there on have in common, in this order. */
function commonLengths(was: readonly string[], is: readonly string[]): Uint32Array[] {
  const table = Array.from({ length: was.length + 1 }, () => new Uint32Array(is.length + 1));
  for (let i = was.length - 1; i >= 0; i -= 1)
    for (let j = is.length - 1; j >= 0; j -= 1)
      table[i]![j] = was[i] === is[j] ? table[i + 1]![j + 1]! + 1 : Math.max(table[i + 1]![j]!, table[i]![j + 1]!);
  return table;
}

function changesBetween(
  was: readonly string[],
  is: readonly string[],
  common: readonly Uint32Array[],
  begin: number,
): LineChange[] {
  const changes: { line: number; removed: string[]; added: string[] }[] = [];
  let open: (typeof changes)[number] | undefined;
  for (let i = 0, j = 0; i < was.length || j < is.length;) {
    if (i < was.length && j < is.length && was[i] === is[j]) {
      open = undefined;
      i += 1;
      j += 1;
      continue;
    }
    if (open === undefined) changes.push((open = { line: begin + j + 1, removed: [], added: [] }));
    const takesOld = i < was.length && (j === is.length || common[i + 1]![j]! >= common[i]![j + 1]!);
    if (takesOld) open.removed.push(was[i++]!);
    else open.added.push(is[j++]!);
  }
  return changes;
}
