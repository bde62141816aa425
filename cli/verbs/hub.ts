import type { Command } from "commander";
import { collect, examples, group, output, type Asked, type Run } from "#cli/verbs/declare.ts";

export function declareInit(program: Command): void {
  const command = program
    .command("init")
    .helpGroup(group.process)
    .description("make the hub's keys, once, and a first token")
    .option("--identity <file>", "where the keys go", "plumbline-identity.json");
  output(command)
    .addHelpText("after", examples("plumb init", "plumb init --identity /etc/plumbline/identity.json"))
    .action(async (options: Asked & { identity: string }) => (await import("#cli/init.ts")).init(options));
}

export function declareHub(program: Command, run: Run): void {
  program
    .command("hub")
    .helpGroup(group.process)
    .description("run the hub in the foreground")
    .option("--identity <file>", "the keys that plumb init made")
    .option("--data <folder>", "mirrors and the broker's store: may be lost")
    .option("--lease-period-ms <ms>", "a standby takes over after three of these (5000)")
    .option("--otlp-endpoint <url>", "where traces go, OTLP over HTTP")
    .optionsGroup("The fleet repository:")
    .option("--fleet <url>", "its address; needed")
    .option("--fleet-branch <branch>", "the branch of people's intent (main)")
    .option("--fleet-folder <folder>", "where its documents lie (fleet)")
    .option("--fleet-credentials <file>", "user:password or a token; a private key over ssh")
    .option("--fleet-authorization <scheme>", "how a token is shown: basic, bearer (basic)")
    .option("--fleet-ca <file>", "the authorities of its certificate, in PEM")
    .option("--fleet-client-certificate <file>", "what the hub shows of itself there, in PEM")
    .option("--fleet-client-key <file>", "its key")
    .option("--fleet-github-app <id/installation>", "a GitHub App, whose private key is in --fleet-credentials")
    .option("--fleet-host-keys <file>", "known_hosts of its server; needed over ssh")
    .option("--webhook-secret-file <file>", "the secret of its webhook")
    .optionsGroup("All repositories:")
    .option("--allow-repository-host <host>", "reach this internal host; may be given several times", collect)
    .option("--poll-ms <ms>", "time between two looks at a repository")
    .option("--secret-folder <folder>", "where Kubernetes Secrets are mounted, as NAMESPACE/NAME/KEY")
    .optionsGroup("Addresses:")
    .option("--listen-http <host:port>", "API (127.0.0.1:8080)")
    .option("--listen-grpc <host:port>", "agents (127.0.0.1:8443)")
    .option("--listen-nats <host:port>", "the hub's own broker (127.0.0.1:4222)")
    .option("--advertise-grpc <host:port>", "what agents are told to use")
    .option("--advertise-nats <url>", "what agents are told to use")
    .option("--nats-url <url>", "a broker of your own; may be given several times", collect)
    .option("--nats-server <file>", "the nats-server program")
    .addHelpText(
      "after",
      examples(
        "plumb hub --fleet https://host/fleet.git",
        "plumb hub --fleet https://host/fleet.git --fleet-credentials token.txt",
        "plumb hub --fleet http://127.0.0.1:3000/fleet.git --allow-repository-host 127.0.0.1",
      ),
    )
    .action(async (options: Record<string, unknown>) => (await import("#cli/hub.ts")).runHub(options, run.signal));
}
