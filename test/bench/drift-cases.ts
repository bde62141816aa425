import { realBackend } from "#test/drift-cases/backend.ts";
import { complaintOf, type DriftCase } from "#test/drift-cases/case.ts";
import { driftCases } from "#test/drift-cases/table.ts";
import { World, type Observed } from "#test/drift-cases/world.ts";
import { exactly, type BenchResult } from "./figures.ts";

/** One row as it came out on the real API server. */
export type CaseRow = {
  readonly number: number;
  readonly name: string;
  readonly passed: boolean;
  readonly reported: readonly string[];
  /** Whether everything is again as it was; some cases leave something on purpose. */
  readonly healed: boolean | undefined;
  readonly loops: boolean | undefined;
  readonly writes: Readonly<Record<string, number>>;
  readonly complaint: string;
};

/** Every case of the drift table on a real API server, one line each. A number passes when all of its rows do. */
export async function driftCaseTable(): Promise<Pick<BenchResult, "runs" | "figures"> & { cases: CaseRow[] }> {
  await using backend = await realBackend({ controllerManager: true });
  const cases: CaseRow[] = [];
  for (const [index, one] of driftCases.entries()) {
    await using world = await World.open(backend, `${one.number}-${index}`);
    cases.push(print(await rowOf(one, world)));
  }
  const numbers = [...Map.groupBy(cases, ({ number }) => number).values()];
  const passed = numbers.filter((rows) => rows.every((row) => row.passed)).length;
  const loops = cases.filter((row) => row.loops === true).length;
  const figures = {
    passed: exactly(passed, "cases", tableCases),
    total: exactly(numbers.length, "cases", tableCases),
    loops: exactly(loops, "cases", 0),
  };
  return { runs: 1, figures, cases };
}

/** Numbers of the table: one without any row here is missing from the total. */
const tableCases = 40;

async function rowOf(one: DriftCase, world: World): Promise<CaseRow> {
  const { number, name } = one;
  try {
    const observed: Observed = await one.run(world);
    const complaint = complaintOf(one, observed) ?? "";
    const { reported, restored, loops, writes } = observed;
    return { number, name, passed: complaint === "", reported, healed: restored, loops, writes, complaint };
  } catch (error) {
    const complaint = error instanceof Error ? error.message : String(error);
    return { number, name, passed: false, reported: [], healed: undefined, loops: undefined, writes: {}, complaint };
  }
}

function print(row: CaseRow): CaseRow {
  const { number, name, passed, reported, healed, loops, writes, complaint } = row;
  const said = [
    `reported: ${reported.join("; ") || "nothing"}`,
    `as before: ${healed === undefined ? "?" : healed ? "yes" : "no"}`,
    `loops: ${loops === undefined ? "?" : loops ? "yes" : "no"}`,
    `writes: ${
      Object.entries(writes)
        .map(([verb, count]) => `${count} ${verb}`)
        .join(", ") || "none"
    }`,
  ];
  const why = complaint === "" ? "" : `\n            ${complaint}`;
  process.stdout.write(
    `${passed ? "pass" : "FAIL"}  ${String(number).padStart(2)}  ${name}\n          ${said.join("   ")}${why}\n`,
  );
  return row;
}
