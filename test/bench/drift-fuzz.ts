import { realBackend } from "#test/drift-cases/backend.ts";
import { fuzz } from "#test/drift-fuzz/fuzz.ts";
import { newSeed } from "#test/drift-fuzz/random.ts";
import { tell } from "#test/drift-fuzz/told.ts";
import type { BenchResult, Figure } from "./figures.ts";

const fewEdits = 600;
const manyEdits = 10_000;

/**
 * Random edits on a real API server, each verdict of the agent compared with a dry-run apply. `--edits N`, `--seed S`: the
 * same seed makes the same edits.
 */
export async function driftFuzz(
  quick: boolean,
  options: readonly string[],
): Promise<Pick<BenchResult, "runs" | "figures">> {
  const edits = numberOf(options, "--edits") ?? (quick ? fewEdits : manyEdits);
  const seed = numberOf(options, "--seed") ?? newSeed();
  process.stdout.write(`seed ${seed}\n`);
  await using backend = await realBackend();
  let told = 0;
  const result = await fuzz(backend, {
    edits,
    seed,
    unexplained: (step, disagreements) => void process.stdout.write(tell(seed, step, disagreements)),
    progress(made) {
      if (made - told < edits / 20) return;
      told = made;
      process.stdout.write(`${made} edits\n`);
    },
  });
  for (const [name, counts] of Object.entries({ verbs: result.verbs, "explained by rule": result.explained }))
    process.stdout.write(
      `${name}: ${Object.entries(counts)
        .map(([what, count]) => `${count} ${what}`)
        .join(", ")}\n`,
    );
  return {
    runs: 1,
    figures: {
      edits: counted(result.edits, "edits", `>= ${edits}`, result.edits >= edits),
      kinds: counted(result.kinds, "kinds", ">= 30", result.kinds >= 30),
      healed: counted(result.drifts, "steps", ">= 1", result.drifts >= 1),
      unexplained: counted(result.unexplained, "steps", "= 0", result.unexplained === 0),
      seed: counted(seed, "", "any", true),
    },
  };
}

const counted = (value: number, unit: string, goal: string, ok: boolean): Figure => ({
  value,
  unit,
  min: value,
  max: value,
  goal,
  ok,
});

function numberOf(options: readonly string[], name: string): number | undefined {
  const at = options.indexOf(name);
  if (at < 0) return undefined;
  const value = Number(options[at + 1]);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`${name} wants a number, not ${options[at + 1]}`);
  return value;
}
