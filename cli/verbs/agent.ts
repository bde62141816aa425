import type { Command } from "commander";
import type { JoinOptions, MemberOptions } from "#cli/agent.ts";
import { examples, group, type Run } from "#cli/verbs/declare.ts";

export function declareAgent(program: Command, run: Run): void {
  const agent = program
    .command("agent")
    .helpGroup(group.process)
    .description("join a cluster to a hub, and run its agent");
  const join = agent
    .command("join")
    .description("put this cluster's keys on record, and run its agent until Ctrl-C")
    .optionsGroup("From plumb cluster register:")
    .requiredOption("--hub <host:port>", "the hub's gRPC address")
    .requiredOption("--token <token>", "good for an hour, once")
    .requiredOption("--ca-pin <sha256:hex>", "fingerprint of the hub's CA")
    .requiredOption("--root <sha256:hex>", "fingerprint of the root key")
    .optionsGroup("Options:")
    .option("--enrol-only", "put the keys on record, and end");
  member(join)
    .addHelpText(
      "after",
      examples(
        "plumb agent join --hub hub.example:8443 --token ... --ca-pin sha256:... --root sha256:... --kubeconfig ~/.kube/config",
        "plumb cluster register eu-1 -o json | jq -r .joinCommand      # the whole line",
      ),
    )
    .action(async (options: JoinOptions) => (await import("#cli/agent.ts")).joinHub(options, run.signal));
  member(agent.command("run"))
    .description("run the agent of a cluster that has joined, until Ctrl-C")
    .addHelpText("after", examples("plumb agent run --kubeconfig ~/.kube/config --context eu-1"))
    .action(async (options: MemberOptions) => (await import("#cli/agent.ts")).runAgent(options, run.signal));
}

const member = (command: Command): Command =>
  command
    .optionsGroup("The cluster:")
    .requiredOption("--kubeconfig <file>", "the cluster")
    .option("--context <name>", "a context of the kubeconfig")
    .option("--namespace <name>", "the agent's own (plumbline-agent)")
    .optionsGroup("What the agent may do; no hub can lift it:")
    .option("--profile <admin|tenant>", "tenant: never writes in its own name (admin)")
    .option("--default-service-account <namespace/name>", "writes for Applications that name none")
    .option("--allow-kinds <kinds>", "apps/Deployment,ConfigMap,...")
    .option("--allow-namespaces <names>", "shop,team-*");
