import type { Command } from "commander";
import type { AcceptOptions, PromoteOptions, RemoveOptions } from "#cli/change.ts";
import { asksHub, examples, group, type Asked, type Run } from "#cli/verbs/declare.ts";

export function declarePromote(program: Command, run: Run): void {
  const command = program
    .command("promote <environment> <application> [revision]")
    .helpGroup(group.change)
    .description("ask for a revision in an environment; without one, the newest that the environment before has proved")
    .option("--reason <text>", "why, for the commit", "")
    .option("--allow-prune <hash>", "the plan hash of a prune that is over budget")
    .option("--wait", "wait until every cluster runs it and is healthy");
  asksHub(command)
    .addHelpText(
      "after",
      examples(
        "plumb promote prod podinfo",
        "plumb promote prod podinfo 4f1c9ab --wait",
        "plumb promote prod podinfo 8d02e17 --reason 'back: 4f1c9ab leaks'",
      ),
    )
    .action(
      async (
        environment: string,
        application: string,
        revision: string | undefined,
        options: GivenWith<PromoteOptions>,
      ) => {
        const { promote } = await import("#cli/change.ts");
        await promote(await run.config(options), environment, application, revision, options, run.signal);
      },
    );
}

export function declareRemove(program: Command, run: Run): void {
  const command = program
    .command("remove <application>")
    .helpGroup(group.change)
    .description("delete an application's objects, or let go of them; the only way to take things away")
    .option("--environment <name>", "on every cluster of this environment")
    .option("--cluster <name>", "on this cluster")
    .option("--orphan", "leave the objects where they are, as nobody's")
    .option("--reason <text>", "why, for the commit", "");
  asksHub(command)
    .addHelpText(
      "after",
      examples(
        "plumb remove podinfo --environment dev",
        "plumb remove podinfo --cluster eu-1 --orphan",
        "plumb remove podinfo --environment prod --reason 'replaced by web'",
      ),
    )
    .action(async (application: string, options: GivenWith<RemoveOptions>) =>
      (await import("#cli/change.ts")).remove(await run.config(options), application, options),
    );
}

export function declareAcceptRewrite(program: Command, run: Run): void {
  const command = program
    .command("accept-rewrite <repository> [branch]")
    .helpGroup(group.change)
    .description("go on from a branch whose history was rewritten, or a tag (refs/tags/NAME) that was moved")
    .option("--to <commit>", "only if it is at this commit")
    .option("--reason <text>", "why, for the record", "");
  asksHub(command)
    .addHelpText(
      "after",
      examples(
        "plumb accept-rewrite shop main --reason 'a secret was taken out'",
        "plumb accept-rewrite fleet main --to 4f1c9ab      # fleet is the fleet's own repository",
        "plumb accept-rewrite shop refs/tags/v1.2.0",
      ),
    )
    .action(async (repository: string, branch: string | undefined, options: GivenWith<AcceptOptions>) =>
      (await import("#cli/change.ts")).acceptRewrite(await run.config(options), repository, branch, options),
    );
}

export function declareHistory(program: Command, run: Run): void {
  const command = program
    .command("history")
    .helpGroup(group.look)
    .description("what was asked for, by whom, and what came of it");
  asksHub(command)
    .addHelpText(
      "after",
      examples("plumb history", "plumb history -o name", "plumb history -o json | jq -r '.events[].text'"),
    )
    .action(async (options: Asked) => (await import("#cli/change.ts")).history(await run.config(options), options));
}

type GivenWith<Own> = Asked & Own;
