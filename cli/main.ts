import { Command, CommanderError, Option } from "commander";
import { readConfig, type GlobalOptions, type OfflineConfig } from "#cli/config.ts";
import type { JoinOptions, MemberOptions } from "#cli/agent.ts";
import type { RegisterOptions } from "#cli/cluster.ts";
import type { DiffOptions } from "#cli/diff.ts";
import type { RenderOptions } from "#cli/render.ts";
import type { ValidateOptions } from "#cli/validate.ts";
import type { DemoOptions } from "#cli/demo/demo.ts";
import { CliError, exitCode } from "#cli/errors.ts";
import { parseFormat, type Format } from "#cli/output.ts";

const exits = `
Exit codes: 0 as asked; 1 failed; 2 wrong usage; 3 the answer is "no"; 4 not allowed; 5 hub not reachable; 130 interrupted.`;

const stop = new AbortController();
const collect = (value: string, before: string[] = []): string[] => [...before, value];
const output = (): Option =>
  new Option("-o, --output <format>", "table, wide, json, yaml or name").default("table").argParser(parseFormat);
const hubOption = (): Option =>
  new Option("--hub <url>", "the hub's HTTP address (PLUMBLINE_HUB; http://127.0.0.1:8080)");
const tokenOption = (): Option =>
  new Option("--token-file <file>", "a file that holds your token (PLUMBLINE_TOKEN_FILE, or PLUMBLINE_TOKEN itself)");
const examples = (...lines: string[]): string => `\nExamples:\n${lines.map((line) => `  ${line}`).join("\n")}`;

type Shared = GlobalOptions & { output: Format };

function build(): Command {
  const program = new Command("plumb")
    .description("Holds every Kubernetes cluster of a fleet true to Git.")
    .version("0.1.0")
    .addOption(hubOption())
    .addOption(tokenOption())
    .option("--no-color", "no colours, as NO_COLOR does")
    .addHelpText("after", exits)
    .enablePositionalOptions()
    .exitOverride();
  const config = (given: GlobalOptions): Promise<OfflineConfig> =>
    readConfig(process.env, { ...program.opts<GlobalOptions>(), ...given });

  program
    .command("status")
    .description("every application in every environment, worst first")
    .addOption(output())
    .addOption(hubOption())
    .addOption(tokenOption())
    .option("--all", "also rows with nothing to say, uncut")
    .addHelpText(
      "after",
      examples("plumb status", "plumb status -o wide", "plumb status -o json | jq '.rows[].reasons'"),
    )
    .action(async (options: Shared & { all?: boolean }) =>
      (await import("#cli/status.ts")).status(await config(options), options),
    );

  program
    .command("drift")
    .description("what differed from Git, where, by which tool, and how it ended")
    .addOption(output())
    .addOption(hubOption())
    .addOption(tokenOption())
    .option("--since <time>", "only what was first seen in this time: 15m, 24h, 7d")
    .option("--watch", "go on, one line a change, until Ctrl-C")
    .option("--exit-code", "exit 3 when something differs now")
    .addHelpText("after", examples("plumb drift --since 24h", "plumb drift --watch", "plumb drift --exit-code -o name"))
    .action(async (options: Shared & { since?: string; watch?: boolean; exitCode?: boolean }) =>
      (await import("#cli/drift.ts")).drift(await config(options), options, stop.signal),
    );

  program
    .command("why <place> [words...]")
    .usage("[options] CLUSTER APPLICATION [OBJECT] | ENVIRONMENT/APPLICATION [CLUSTER] [OBJECT]")
    .description("why something is as it is on a cluster: from the commit to the object, and what happens next")
    .addOption(output())
    .addOption(hubOption())
    .addOption(tokenOption())
    .addHelpText(
      "after",
      examples(
        "plumb why prod/api                           # the cluster that is worst off",
        "plumb why prod/api eu-7",
        "plumb why eu-7 api Deployment/shop/web",
        "plumb why eu-7 api -o json | jq -r .next",
      ),
    )
    .action(async (place: string, words: string[], options: Shared) =>
      (await import("#cli/why.ts")).why(await config(options), [place, ...words], options),
    );

  const cluster = program.command("cluster").description("register, look at and revoke clusters");
  cluster
    .command("list")
    .description("every cluster, worst first")
    .addOption(output())
    .addOption(hubOption())
    .addOption(tokenOption())
    .action(async (options: Shared) => (await import("#cli/cluster.ts")).listClusters(await config(options), options));
  cluster
    .command("show <name>")
    .description("one cluster: what it runs, and what is not well")
    .addOption(output())
    .addOption(hubOption())
    .addOption(tokenOption())
    .action(async (name: string, options: Shared) =>
      (await import("#cli/cluster.ts")).showCluster(await config(options), name, options),
    );
  cluster
    .command("register <name>")
    .description("declare a cluster in Git, and print the line that joins it")
    .option("-l, --label <name=value>", "a label; may be given several times", collect, [])
    .option("--wait", "wait until it has joined")
    .option(
      "--profile <admin|tenant>",
      "what its agent may do: tenant prints manifests with the rights below alone",
      "admin",
    )
    .option("--namespaces <names>", "tenant: where it may write, separated by commas")
    .option("--kinds <kinds>", "tenant: what it may write there: apps/Deployment,ConfigMap,...")
    .option(
      "--service-account <namespace/name>",
      "tenant: one that Applications may name; may be given several times",
      collect,
      [],
    )
    .addOption(output())
    .addOption(hubOption())
    .addOption(tokenOption())
    .addHelpText(
      "after",
      examples(
        "plumb cluster register eu-1 -l env=prod -l region=eu",
        "plumb cluster register eu-1 --wait",
        "plumb cluster register eu-1 --profile tenant --namespaces shop --kinds apps/Deployment,Service,ConfigMap | kubectl apply -f -",
        "plumb cluster register eu-1 -o json",
      ),
    )
    .action(async (name: string, options: Shared & RegisterOptions) =>
      (await import("#cli/cluster.ts")).registerCluster(await config(options), name, options),
    );
  cluster
    .command("revoke <name>")
    .description("take a cluster's keys off the record; it keeps what it runs")
    .option("--reason <text>", "why, for the record", "")
    .addOption(output())
    .addOption(hubOption())
    .addOption(tokenOption())
    .action(async (name: string, options: Shared & { reason: string }) =>
      (await import("#cli/cluster.ts")).revokeCluster(await config(options), name, options),
    );

  program
    .command("promote <environment> <application> [revision]")
    .description(
      "ask for a revision in an environment; without one, the newest that the environment before it has proved",
    )
    .option("--reason <text>", "why, for the commit", "")
    .option("--allow-prune <hash>", "the plan hash of a prune that is over budget")
    .option("--wait", "wait until every cluster runs it and is healthy")
    .addOption(output())
    .addOption(hubOption())
    .addOption(tokenOption())
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
        options: Shared & { reason: string; allowPrune?: string; wait?: boolean },
      ) =>
        (await import("#cli/change.ts")).promote(
          await config(options),
          environment,
          application,
          revision,
          options,
          stop.signal,
        ),
    );
  program
    .command("remove <application>")
    .description("delete an application's objects, or let go of them; the only way to take things away")
    .option("--environment <name>", "on every cluster of this environment")
    .option("--cluster <name>", "on this cluster")
    .option("--orphan", "leave the objects where they are, as nobody's")
    .option("--reason <text>", "why, for the commit", "")
    .addOption(output())
    .addOption(hubOption())
    .addOption(tokenOption())
    .addHelpText(
      "after",
      examples(
        "plumb remove podinfo --environment dev",
        "plumb remove podinfo --cluster eu-1 --orphan",
        "plumb remove podinfo --environment prod --reason 'replaced by web'",
      ),
    )
    .action(
      async (
        application: string,
        options: Shared & { reason: string; environment?: string; cluster?: string; orphan?: boolean },
      ) => (await import("#cli/change.ts")).remove(await config(options), application, options),
    );
  program
    .command("accept-rewrite <repository> [branch]")
    .description(
      "go on from a branch whose history was rewritten, or a tag (refs/tags/NAME) that was moved; `fleet` is the fleet's own repository",
    )
    .option("--to <commit>", "only if it is at this commit")
    .option("--reason <text>", "why, for the record", "")
    .addOption(output())
    .addOption(hubOption())
    .addOption(tokenOption())
    .addHelpText(
      "after",
      examples(
        "plumb accept-rewrite shop main --reason 'a secret was taken out'",
        "plumb accept-rewrite fleet main --to 4f1c9ab",
        "plumb accept-rewrite shop refs/tags/v1.2.0",
      ),
    )
    .action(async (repository: string, branch: string | undefined, options: Shared & { reason: string; to?: string }) =>
      (await import("#cli/change.ts")).acceptRewrite(await config(options), repository, branch, options),
    );
  program
    .command("history")
    .description("what was asked for, and what came of it")
    .addOption(output())
    .addOption(hubOption())
    .addOption(tokenOption())
    .action(async (options: Shared) => (await import("#cli/change.ts")).history(await config(options), options));
  program
    .command("validate [folder]")
    .description("read the fleet documents of a checkout as the hub would, and render each Application, without a hub")
    .addOption(
      new Option("-o, --output <format>", "table, json, yaml or github (annotations)")
        .default("table")
        .choices(["table", "json", "yaml", "github"]),
    )
    .option("--no-render", "only the documents")
    .addHelpText("after", examples("plumb validate", "plumb validate fleet --no-render", "plumb validate -o github"))
    .action(async (folder: string | undefined, options: ValidateOptions) =>
      (await import("#cli/validate.ts")).validate(await config({}), folder ?? "fleet", options, stop.signal),
    );
  const ofOne = (command: Command): Command =>
    command
      .option("--cluster <name>", "for this cluster; needed when there are several")
      .option("--environment <name>", "when the cluster is in several")
      .option("--fleet <folder>", "the fleet documents in a checkout", "fleet")
      .option("--source <folder>", "a checkout of the Application's own repository, if it has one")
      .addOption(output())
      .addOption(hubOption())
      .addOption(tokenOption());
  ofOne(program.command("render <application>"))
    .description("the objects that a checkout gives for one cluster, rendered as the hub renders them")
    .option("--revision <revision>", "of the checkout, or of the hub's repository; without it, what lies there or runs")
    .option("--from-hub", "what the hub renders, with the values of Secrets taken out")
    .addHelpText(
      "after",
      examples(
        "plumb render shop --cluster eu-1",
        "plumb render shop --cluster eu-1 --revision HEAD~1 -o json",
        "plumb render shop --cluster eu-1 --from-hub",
      ),
    )
    .action(async (application: string, options: RenderOptions & GlobalOptions) =>
      (await import("#cli/render.ts")).render(await config(options), application, options, stop.signal),
    );
  ofOne(program.command("diff <application>"))
    .description("the checkout as it lies there against what runs on a cluster, field by field")
    .option("--revision <revision>", "against this revision of the checkout instead; needs no hub")
    .option("--exit-code", "exit 3 when something differs")
    .addHelpText(
      "after",
      examples(
        "plumb diff shop --cluster eu-1",
        "plumb diff shop --cluster eu-1 --revision HEAD",
        "plumb diff shop --cluster eu-1 --exit-code -o json",
      ),
    )
    .action(async (application: string, options: DiffOptions & GlobalOptions) =>
      (await import("#cli/diff.ts")).diff(await config(options), application, options, stop.signal),
    );

  program
    .command("init")
    .description("make the hub's keys, once, and a first token")
    .option("--identity <file>", "where the keys go", "plumbline-identity.json")
    .addOption(output())
    .action(async (options: Shared & { identity: string }) => (await import("#cli/init.ts")).init(options));
  program
    .command("hub")
    .description("run the hub in the foreground")
    .option("--fleet <url>", "the fleet repository")
    .option("--fleet-credentials <file>", "user:password or a token for it; a private key over ssh")
    .option("--fleet-authorization <scheme>", "how a token is shown: basic, bearer (basic)")
    .option("--fleet-ca <file>", "the authorities of its certificate, in PEM")
    .option("--fleet-client-certificate <file>", "what the hub shows of itself there, in PEM")
    .option("--fleet-client-key <file>", "its key")
    .option(
      "--fleet-github-app <id/installation>",
      "a GitHub App, whose private key is the file of --fleet-credentials",
    )
    .option("--fleet-host-keys <file>", "known_hosts of its server; needed over ssh")
    .option("--fleet-folder <folder>", "where its documents lie (fleet)")
    .option("--fleet-branch <branch>", "the branch of people's intent (main)")
    .option("--identity <file>", "the keys that plumb init made")
    .option("--data <folder>", "mirrors and the broker's store: may be lost")
    .option("--secret-folder <folder>", "where Kubernetes Secrets are mounted, as NAMESPACE/NAME/KEY")
    .option("--webhook-secret-file <file>", "the secret of the fleet repository's webhook")
    .option("--allow-repository-host <host>", "reach this internal host; may be given several times", collect)
    .option("--poll-ms <ms>", "time between two looks at a repository")
    .option("--listen-http <host:port>", "API (127.0.0.1:8080)")
    .option("--listen-grpc <host:port>", "agents (127.0.0.1:8443)")
    .option("--listen-nats <host:port>", "the hub's own broker (127.0.0.1:4222)")
    .option("--advertise-grpc <host:port>", "what agents are told to use")
    .option("--advertise-nats <url>", "what agents are told to use")
    .option("--nats-url <url>", "a broker of your own; may be given several times", collect)
    .option("--nats-server <file>", "the nats-server program")
    .option("--lease-period-ms <ms>", "a standby takes over after three of these (5000)")
    .option("--otlp-endpoint <url>", "where traces go, OTLP over HTTP")
    .addHelpText(
      "after",
      examples(
        "plumb hub --fleet https://host/fleet.git",
        "plumb hub --fleet https://host/fleet.git --fleet-credentials token.txt",
        "plumb hub --fleet http://127.0.0.1:3000/fleet.git --allow-repository-host 127.0.0.1",
      ),
    )
    .action(async (options: Record<string, unknown>) => (await import("#cli/hub.ts")).runHub(options, stop.signal));
  const agent = program.command("agent").description("join a cluster to a hub, and run its agent");
  const member = (command: Command): Command =>
    command
      .requiredOption("--kubeconfig <file>", "the cluster")
      .option("--context <name>", "a context of the kubeconfig")
      .option("--namespace <name>", "the agent's own (plumbline-agent)")
      .option("--profile <admin|tenant>", "tenant: never writes in its own name (admin)")
      .option("--default-service-account <namespace/name>", "writes for Applications that name none")
      .option("--allow-kinds <kinds>", "apps/Deployment,ConfigMap,...; no hub can lift it")
      .option("--allow-namespaces <names>", "shop,team-*; no hub can lift it");
  member(agent.command("join"))
    .description("put this cluster's keys on record, and run its agent until Ctrl-C")
    .requiredOption("--hub <host:port>", "the hub's gRPC address")
    .requiredOption("--token <token>", "from plumb cluster register")
    .requiredOption("--ca-pin <sha256:hex>", "fingerprint of the hub's CA")
    .requiredOption("--root <sha256:hex>", "fingerprint of the root key")
    .option("--enrol-only", "put the keys on record, and end")
    .action(async (options: JoinOptions) => (await import("#cli/agent.ts")).joinHub(options, stop.signal));
  member(agent.command("run"))
    .description("run the agent of a cluster that has joined, until Ctrl-C")
    .action(async (options: MemberOptions) => (await import("#cli/agent.ts")).runAgent(options, stop.signal));
  const demo = program
    .command("demo")
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
    .action(async (options: DemoOptions) => (await import("#cli/demo/demo.ts")).demo(options, stop.signal));
  demo
    .command("break <cluster>")
    .description("scale a cluster of the running demo by hand, behind Git's back")
    .action(async (name: string) => (await import("#cli/demo/demo.ts")).breakCluster(name, process.env));
  return program;
}

async function main(): Promise<void> {
  for (const name of ["SIGINT", "SIGTERM"] as const)
    process.once(name, () => {
      process.exitCode = name === "SIGINT" ? exitCode.interrupted : 0;
      stop.abort(new Error(`got ${name}`));
    });
  // A reader that has seen enough, as head does, is no failure.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
  try {
    if (process.argv.length > 2) await build().parseAsync();
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
