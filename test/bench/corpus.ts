import { cases } from "#test/corpus-run/cases.ts";
import { openCorpusStage, type CorpusRow } from "#test/corpus-run/play.ts";
import { exactly, type BenchResult } from "./figures.ts";

/** Every Application of the corpus beside the plain tools, applied to a real API server, and applied once more: a table. */
export async function corpus(): Promise<Pick<BenchResult, "runs" | "figures"> & { table: CorpusRow[] }> {
  await using stage = await openCorpusStage();
  const table: CorpusRow[] = [];
  process.stdout.write(
    "| application | plain tool | objects | bytes | digest equal | applied | second reconcile writes |\n|---|---|---|---|---|---|---|\n",
  );
  for (const one of cases) {
    const row = await stage.play(one);
    table.push(row);
    process.stdout.write(`| ${cellsOf(row).join(" | ")} |\n`);
  }
  return {
    runs: 1,
    figures: {
      digestsEqual: exactly(table.filter(isEqual).length, "cases", cases.length),
      applied: exactly(table.filter(({ isApplied }) => isApplied).length, "cases", cases.length),
      secondWrites: exactly(sum(table.map(({ secondWrites }) => secondWrites)), "writes", 0),
      wrongAfterRemoval: exactly(sum(table.map(({ wrongAfterRemoval }) => wrongAfterRemoval.length)), "objects", 0),
    },
    table,
  };
}

const isEqual = ({ digest, toolDigest }: CorpusRow): boolean => digest === toolDigest;
const sum = (values: readonly number[]): number => values.reduce((all, value) => all + value, 0);

const cellsOf = (row: CorpusRow): (string | number)[] => [
  row.name,
  row.tool,
  row.objects,
  row.bytes,
  isEqual(row) ? `yes, ${row.digest.slice(0, 12)}` : "NO",
  row.isApplied ? "yes" : "NO",
  row.secondWrites,
];
