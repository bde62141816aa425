import { Option, type Command } from "commander";
import type { GlobalOptions } from "#cli/config.ts";
import type { DiffOptions } from "#cli/diff.ts";
import type { RenderOptions } from "#cli/render.ts";
import type { ValidateOptions } from "#cli/validate.ts";
import { asksHub, examples, group, type Run } from "#cli/verbs/declare.ts";

export function declareValidate(program: Command, run: Run): void {
  program
    .command("validate [folder]")
    .helpGroup(group.author)
    .description("read the fleet documents of a checkout as the hub would, and render each Application, without a hub")
    .option("--no-render", "only the documents")
    .addOption(
      new Option("-o, --output <format>", "table, json, yaml or github (annotations)")
        .default("table")
        .choices(["table", "json", "yaml", "github"])
        .helpGroup("Output:"),
    )
    .addHelpText("after", examples("plumb validate", "plumb validate fleet --no-render", "plumb validate -o github"))
    .action(async (folder: string | undefined, options: ValidateOptions) =>
      (await import("#cli/validate.ts")).validate(await run.config({}), folder ?? "fleet", options, run.signal),
    );
}

export function declareRender(program: Command, run: Run): void {
  const command = ofOne(program.command("render <application>"))
    .description("the objects that a checkout gives for one cluster, rendered as the hub renders them")
    .option("--revision <revision>", "of the checkout, or of the hub's repository; without it, what lies there or runs")
    .option("--from-hub", "what the hub renders, with the values of Secrets taken out");
  asksHub(command)
    .addHelpText(
      "after",
      examples(
        "plumb render shop --cluster eu-1",
        "plumb render shop --cluster eu-1 --revision HEAD~1 -o json",
        "plumb render shop --cluster eu-1 --from-hub",
      ),
    )
    .action(async (application: string, options: RenderOptions & GlobalOptions) =>
      (await import("#cli/render.ts")).render(await run.config(options), application, options, run.signal),
    );
}

export function declareDiff(program: Command, run: Run): void {
  const command = ofOne(program.command("diff <application>"))
    .description("the checkout as it lies there against what runs on a cluster, field by field")
    .option("--revision <revision>", "against this revision of the checkout instead; needs no hub")
    .option("--exit-code", "exit 3 when something differs");
  asksHub(command)
    .addHelpText(
      "after",
      examples(
        "plumb diff shop --cluster eu-1",
        "plumb diff shop --cluster eu-1 --revision HEAD",
        "plumb diff shop --cluster eu-1 --exit-code -o json",
      ),
    )
    .action(async (application: string, options: DiffOptions & GlobalOptions) =>
      (await import("#cli/diff.ts")).diff(await run.config(options), application, options, run.signal),
    );
}

const ofOne = (command: Command): Command =>
  command
    .helpGroup(group.author)
    .option("--cluster <name>", "for this cluster; needed when there are several")
    .option("--environment <name>", "when the cluster is in several")
    .option("--fleet <folder>", "the fleet documents in a checkout", "fleet")
    .option("--source <folder>", "a checkout of the Application's own repository, if it has one")
    .option(
      "--chart <path>",
      "a copy of its chart from elsewhere: the archive, or a checkout of the chart's Git repository; without it the hub is asked",
    );
