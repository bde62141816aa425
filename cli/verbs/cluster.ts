import type { Command } from "commander";
import type { RegisterOptions } from "#cli/cluster.ts";
import { asksHub, collect, examples, group, type Asked, type Run } from "#cli/verbs/declare.ts";

export function declareCluster(program: Command, run: Run): void {
  const cluster = program
    .command("cluster")
    .helpGroup(group.look)
    .description("look at clusters, register and revoke them");
  declareList(cluster, run);
  declareShow(cluster, run);
  declareRegister(cluster, run);
  declareRevoke(cluster, run);
}

const declareList = (cluster: Command, run: Run): Command =>
  asksHub(cluster.command("list").description("every cluster, worst first"))
    .addHelpText("after", examples("plumb cluster list", "plumb cluster list -o wide", "plumb cluster list -o name"))
    .action(async (options: Asked) =>
      (await import("#cli/cluster.ts")).listClusters(await run.config(options), options),
    );

const declareShow = (cluster: Command, run: Run): Command =>
  asksHub(cluster.command("show <name>").description("one cluster: what it runs, and what is not well"))
    .addHelpText(
      "after",
      examples("plumb cluster show eu-1", "plumb cluster show eu-1 -o json | jq '.running[].problems'"),
    )
    .action(async (name: string, options: Asked) =>
      (await import("#cli/cluster.ts")).showCluster(await run.config(options), name, options),
    );

function declareRegister(cluster: Command, run: Run): void {
  const command = cluster
    .command("register <name>")
    .description("declare a cluster in Git, and print the line that joins it")
    .option("-l, --label <name=value>", "a label; may be given several times", collect)
    .option("--wait", "wait until it has joined")
    .optionsGroup("What its agent may do:")
    .option("--profile <admin|tenant>", "tenant prints manifests with the rights below alone", "admin")
    .option("--namespaces <names>", "tenant: where it may write, separated by commas")
    .option("--kinds <kinds>", "tenant: what it may write there: apps/Deployment,ConfigMap,...")
    .option(
      "--service-account <namespace/name>",
      "tenant: one that Applications may name; may be given several times",
      collect,
    );
  asksHub(command)
    .addHelpText(
      "after",
      examples(
        "plumb cluster register eu-1 -l env=prod -l region=eu",
        "plumb cluster register eu-1 --wait",
        "plumb cluster register eu-1 --profile tenant --namespaces shop --kinds apps/Deployment,Service,ConfigMap | kubectl apply -f -",
        "plumb cluster register eu-1 -o json",
      ),
    )
    .action(async (name: string, options: Asked & RegisterOptions) =>
      (await import("#cli/cluster.ts")).registerCluster(await run.config(options), name, options, run.signal),
    );
}

function declareRevoke(cluster: Command, run: Run): void {
  const command = cluster
    .command("revoke <name>")
    .description("take a cluster's keys off the record; it keeps what it runs")
    .option("--reason <text>", "why, for the record", "");
  asksHub(command)
    .addHelpText("after", examples("plumb cluster revoke eu-1 --reason 'taken down'"))
    .action(async (name: string, options: Asked & { reason: string }) =>
      (await import("#cli/cluster.ts")).revokeCluster(await run.config(options), name, options),
    );
}
