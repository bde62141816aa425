import { readFile } from "node:fs/promises";
import { openReport } from "#agent/report/report.ts";
import { Journal } from "#agent/report/journal.ts";
import { systemClock } from "#lib/clock.ts";
import { silentLog } from "#lib/log.ts";
import { ApplicationPhase, ApplicationStatus, Health } from "#proto/gen/plumbline/agent/v1/agent.ts";

/** An agent's session and nothing else: no cluster, no broker. */
export type BareAgent = {
  readonly cluster: string;
  readonly certificatePem: string;
  readonly tlsKeyPem: string;
  /** The document it runs, base64. */
  readonly envelope: string;
};
export type BareAgents = { readonly hub: string; readonly caPem: string; readonly agents: readonly BareAgent[] };

// Started by the benchmark with the name of a file: runs the sessions that it lists until SIGTERM.
const { hub, caPem, agents } = JSON.parse(await readFile(process.argv[2]!, "utf8")) as BareAgents;
const stop = new AbortController();
process.once("SIGTERM", () => stop.abort(new Error("got SIGTERM")));
const reports = agents.map(({ certificatePem, tlsKeyPem, envelope }) => {
  const status = ApplicationStatus.fromPartial({
    application: "shop",
    environment: "dev",
    health: Health.CURRENT,
    phase: ApplicationPhase.APPLIED,
    objects: 10,
    current: 10,
  });
  return openReport({
    access: () => ({ hub, caPem, certificatePem, tlsKeyPem }),
    hello: async () => ({
      agentVersion: "0.1.0",
      kubernetesVersion: "v1.36.3",
      envelope: Buffer.from(envelope, "base64"),
    }),
    journal: new Journal(10, Date.now),
    statuses: () => [status],
    onFullReport: () => undefined,
    onWelcome: () => undefined,
    onGeneration: () => undefined,
    onRevoked: () => undefined,
    clock: systemClock,
    log: silentLog,
    signal: stop.signal,
  });
});
await Promise.all(reports.map(({ ended }) => ended));
