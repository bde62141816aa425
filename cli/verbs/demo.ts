import { Option, type Command } from "commander";
import type { DemoOptions } from "#cli/demo/demo.ts";
import { examples, group, type Run } from "#cli/verbs/declare.ts";

export function declareDemo(program: Command, run: Run): void {
  const demo = program
    .command("demo")
    .helpGroup(group.process)
    .description("a whole fleet on this machine: hub, broker, repository, clusters; its story told as it happens")
    .option("--check", "play the story, and end: exit 0 only if each step was seen")
    .addOption(
      new Option(
        "--kubernetes",
        "on three real API servers instead of five simulated clusters (from a clone)",
      ).conflicts("kubeconfig"),
    )
    .option(
      "--kubeconfig <file>",
      "with a cluster of yours among them, in two namespaces of the demo's own; asks first",
    )
    .option("--context <name>", "another context of that file than its current one")
    .option("--yes", "do not ask")
    .addHelpText("after", examples("plumb demo", "plumb demo --check", "plumb demo --kubeconfig ~/.kube/config"))
    .action(async (options: DemoOptions) => (await import("#cli/demo/demo.ts")).demo(options, run.signal));
  demo
    .command("break <cluster>")
    .description("scale a cluster of the running demo by hand, behind Git's back")
    .addHelpText("after", examples("plumb demo break prod-ap"))
    .action(async (name: string) => (await import("#cli/demo/demo.ts")).breakCluster(name, process.env));
}
