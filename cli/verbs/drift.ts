import type { Command } from "commander";
import { asksHub, examples, group, type Asked, type Run } from "#cli/verbs/declare.ts";

export function declareDrift(program: Command, run: Run): void {
  const command = program
    .command("drift")
    .helpGroup(group.look)
    .description("what differed from Git, where, by which tool, and how it ended")
    .option("--since <time>", "only what was first seen in this time: 15m, 24h, 7d")
    .option("--watch", "go on, one line a change, until Ctrl-C")
    .option("--exit-code", "exit 3 when something differs now");
  asksHub(command)
    .addHelpText("after", examples("plumb drift --since 24h", "plumb drift --watch", "plumb drift --exit-code -o name"))
    .action(async (options: Asked & { since?: string; watch?: boolean; exitCode?: boolean }) =>
      (await import("#cli/drift.ts")).drift(await run.config(options), options, run.signal),
    );
}
