import type { Command } from "commander";
import { asksHub, examples, group, type Asked, type Run } from "#cli/verbs/declare.ts";

export function declareStatus(program: Command, run: Run): void {
  const command = program
    .command("status")
    .helpGroup(group.look)
    .description("every application in every environment, worst first")
    .option("--all", "also rows with nothing to say, uncut");
  asksHub(command)
    .addHelpText(
      "after",
      examples("plumb status", "plumb status -o wide", "plumb status -o json | jq '.rows[].reasons'"),
    )
    .action(async (options: Asked & { all?: boolean }) =>
      (await import("#cli/status.ts")).status(await run.config(options), options),
    );
}
