import type { Command } from "commander";
import { asksHub, examples, group, type Asked, type Run } from "#cli/verbs/declare.ts";

export function declareWhy(program: Command, run: Run): void {
  const command = program
    .command("why <place> [words...]")
    .helpGroup(group.look)
    .usage("[options] CLUSTER APPLICATION [OBJECT] | ENVIRONMENT/APPLICATION [CLUSTER] [OBJECT]")
    .description("why something is as it is on a cluster: from the commit to the object, and what happens next");
  asksHub(command)
    .addHelpText(
      "after",
      examples(
        "plumb why prod/api                           # the cluster that is worst off",
        "plumb why prod/api eu-7",
        "plumb why eu-7 api Deployment/shop/web",
        "plumb why eu-7 api -o json | jq -r .next",
      ),
    )
    .action(async (place: string, words: string[], options: Asked) =>
      (await import("#cli/why.ts")).why(await run.config(options), [place, ...words], options),
    );
}
