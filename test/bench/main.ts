import { mkdir, writeFile } from "node:fs/promises";
import { apply } from "#test/bench/apply.ts";
import { corpus } from "#test/bench/corpus.ts";
import { driftCaseTable } from "#test/bench/drift-cases.ts";
import { driftFuzz } from "#test/bench/drift-fuzz.ts";
import { gitPoll } from "#test/bench/git-poll.ts";
import { machine, type BenchResult } from "#test/bench/figures.ts";
import { drift } from "#test/bench/drift.ts";
import { sessions } from "#test/bench/sessions.ts";
import { monorepo } from "#test/bench/monorepo.ts";
import { render } from "#test/bench/render.ts";
import { memory } from "#test/bench/memory.ts";
import { commit, quiet, restart } from "#test/bench/fleet.ts";

const benches: Readonly<
  Record<string, (quick: boolean, options: readonly string[]) => Promise<Pick<BenchResult, "runs" | "figures">>>
> = {
  apply,
  commit,
  corpus,
  drift,
  memory,
  monorepo,
  quiet,
  render,
  restart,
  "git-poll": gitPoll,
  sessions,
  "drift-cases": driftCaseTable,
  "drift-fuzz": driftFuzz,
};

const [name = "", ...flags] = process.argv.slice(2);
const bench = benches[name];
if (bench === undefined) {
  process.stderr.write(
    `usage: npm run bench -- NAME [--quick] [--json] [--keep]\nNAME: ${Object.keys(benches).join(", ")}\n`,
  );
  process.exit(2);
}
const quick = flags.includes("--quick");
const result: BenchResult = { bench: name, machine: machine("1.36.3"), quick, ...(await bench(quick, flags)) };
for (const [figure, { value, unit, min, max, goal, ok }] of Object.entries(result.figures))
  process.stdout.write(
    `${ok ? "ok  " : "over"}  ${figure.padEnd(28)} ${String(value).padStart(9)} ${unit.padEnd(9)} ${min} … ${max}   goal ${goal}\n`,
  );
if (flags.includes("--keep")) {
  const folder = new URL("./results/", import.meta.url);
  await mkdir(folder, { recursive: true });
  await writeFile(new URL(`${name}.json`, folder), `${JSON.stringify(result, null, 2)}\n`);
}
if (flags.includes("--json")) process.stdout.write(`${JSON.stringify(result)}\n`);
// An absolute time says something of the machine; only counts and ratios can fail a run.
const isCounted = (unit: string): boolean => unit !== "ms";
process.exitCode = Object.values(result.figures).every(({ ok, unit }) => ok || !isCounted(unit)) ? 0 : 1;
