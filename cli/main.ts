import { Command, CommanderError } from "commander";
import { readConfig, type GlobalOptions } from "#cli/config.ts";
import { CliError, exitCode } from "#cli/errors.ts";
import { declareAgent } from "#cli/verbs/agent.ts";
import { declareAcceptRewrite, declareHistory, declarePromote, declareRemove } from "#cli/verbs/change.ts";
import { declareCluster } from "#cli/verbs/cluster.ts";
import { group, hubAddress, type Run } from "#cli/verbs/declare.ts";
import { declareDemo } from "#cli/verbs/demo.ts";
import { declareDrift } from "#cli/verbs/drift.ts";
import { declareHub, declareInit } from "#cli/verbs/hub.ts";
import { declareDiff, declareRender, declareValidate } from "#cli/verbs/offline.ts";
import { declareStatus } from "#cli/verbs/status.ts";
import { declareWhy } from "#cli/verbs/why.ts";

const exits = `
Exit codes: 0 as asked; 1 failed; 2 wrong usage; 3 the answer is "no"; 4 not allowed; 5 hub not reachable; 130 interrupted.`;

/** Declares every verb; what a verb needs is imported when it runs. */
function build(signal: AbortSignal): Command {
  const program = new Command("plumb")
    .description("Holds every Kubernetes cluster of a fleet true to Git.")
    .version("0.1.0")
    .option("--no-color", "no colours, as NO_COLOR does")
    .addHelpText("after", exits)
    .configureHelp({ subcommandTerm: (command) => command.name() })
    .configureOutput({ outputError: (text, write) => write(worded(text)) })
    .showHelpAfterError("       see --help")
    .enablePositionalOptions()
    .commandsGroup(group.process)
    .exitOverride();
  hubAddress(program);
  const run: Run = {
    signal,
    config: (given) => {
      const before = program.opts<GlobalOptions>();
      const color = before.color !== false && given.color !== false;
      return readConfig(process.env, { ...before, ...given, color });
    },
  };
  declareStatus(program, run);
  declareDrift(program, run);
  declareWhy(program, run);
  declareHistory(program, run);
  declareCluster(program, run);
  declarePromote(program, run);
  declareRemove(program, run);
  declareAcceptRewrite(program, run);
  declareValidate(program, run);
  declareRender(program, run);
  declareDiff(program, run);
  declareInit(program);
  declareHub(program, run);
  declareAgent(program, run);
  declareDemo(program, run);
  return program;
}

/** What is wrong with the words given, as every other error is told. */
const worded = (text: string): string =>
  text.replace(/^error: /, "plumb: ").replace(/\n\((Did you mean .*)\)/s, "\n       $1");

async function main(): Promise<void> {
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const)
    process.once(name, () => {
      process.exitCode = name === "SIGINT" ? exitCode.interrupted : 0;
      stop.abort(new Error(`got ${name}`));
    });
  // A reader that has seen enough, as head does, is no failure.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
  try {
    if (process.argv.length > 2) await build(stop.signal).parseAsync();
    else await (await import("#cli/start.ts")).start(await readConfig(process.env, {}));
  } catch (error) {
    if (stop.signal.aborted) return;
    process.exitCode = explain(error);
  }
}

function explain(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCode.usage;
  const code = error instanceof CliError ? error.code : exitCode.failed;
  const message = error instanceof Error ? error.message : String(error);
  const advice = error instanceof CliError && error.advice !== "" ? `\n       ${error.advice}` : "";
  process.stderr.write(`plumb: ${message}${advice}\n`);
  return code;
}

await main();
