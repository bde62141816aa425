import type { Authority } from "#agent/authority/authority.ts";
import { inClusterAccess, kubeconfigAccess } from "#agent/cluster/access.ts";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { openKubernetes } from "#agent/cluster/kubernetes.ts";
import { tellTurnedAway } from "#agent/cluster/turned-away.ts";
import type { AgentConfig } from "#agent/config.ts";
import { EnrolmentRefused, WrongHub } from "#agent/enrol/hub-client.ts";
import { readKeys, writeKeys, type AgentKeys } from "#agent/enrol/keys.ts";
import { keepRenewed, renewCredentials } from "#agent/enrol/renew.ts";
import { withCredentials } from "#agent/enrol/credentials.ts";
import { startEngine, type Engine } from "#agent/engine/engine.ts";
import { openPull } from "#agent/pull/pull.ts";
import { Journal } from "#agent/report/journal.ts";
import { readKeptJournal } from "#agent/report/keep-journal.ts";
import { openReport, type Report } from "#agent/report/report.ts";
import { compareOrder } from "#proto/desired-state.ts";
import { systemClock, type Clock } from "#lib/clock.ts";
import type { Credentials } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { afterBusyTime, giveBackMemory } from "#lib/give-back.ts";
import { createLog, reasonOf, type Log } from "#lib/log.ts";
import { backoffMs } from "#lib/retry.ts";
import { openTelemetry, type Telemetry } from "#lib/telemetry.ts";

export const agentVersion = "0.1.0";
/** About 10 MB of events at the most: days of drift on a busy cluster whose hub is away. */
const journalEvents = 10_000;
const retries = { firstMs: 1_000, capMs: 60_000 };
/** NATS is asked with fresh credentials after this many failures in a row: its JWT may have ended while we slept. */
const freshAfterFailures = 3;

/** After so long without a change what an apply needed is given back; collecting takes some 50 ms. */
const restMs = 10_000;

/** Credentials that live this much longer than the stored ones are stored. */
const worthKeepingMs = 24 * 3_600_000;

/** Joined once, an agent needs nothing but its Secret. */
export class NotJoined extends Error {
  override readonly name = "NotJoined";
}

export type AgentParts = {
  readonly cluster: Cluster;
  readonly namespace: string;
  /** Without it: everything, in the agent's own name. */
  readonly authority?: Authority;
  readonly join: AgentConfig["join"];
  readonly clock: Clock;
  readonly log: Log;
  readonly telemetry: Telemetry;
  readonly signal: AbortSignal;
};

/** Runs an agent until the signal: pull → verify → apply → watch → heal → report. Throws NotJoined, EnrolmentRefused. */
export async function runAgent(parts: AgentParts): Promise<void> {
  const { cluster, namespace, clock, log, telemetry, signal } = parts;
  let keys = await joinedKeys(parts);
  // One list for the agent's life: each new connection reads what the last renewal put there.
  const natsUrls = [...keys.natsUrls];
  const renewed = async (credentials: Parameters<typeof withCredentials>[1]): Promise<void> => {
    const kept = keys;
    keys = withCredentials(keys, credentials);
    natsUrls.splice(0, natsUrls.length, ...keys.natsUrls);
    // A hub or broker that came back must cost no cluster a write: what lives hardly longer is kept in memory alone.
    if (keys.notAfterMs - kept.notAfterMs < worthKeepingMs && keys.natsUrls.join() === kept.natsUrls.join())
      keys = { ...keys, notAfterMs: kept.notAfterMs };
    else await writeKeys(cluster, namespace, keys, signal);
  };
  const renewTraced = (current: AgentKeys): Promise<Credentials> =>
    telemetry.traced("agent.renew", { attributes: { cluster: current.cluster } }, () =>
      renewCredentials(current, clock.now()),
    );
  let natsFailures = 0;
  await using pull = openPull({
    urls: natsUrls,
    cluster: keys.cluster,
    ca: keys.caPem,
    clock,
    signal,
    credentials: async () => {
      // gRPC gives fresh NATS credentials; without the hub the old ones are tried on.
      if (natsFailures >= freshAfterFailures || keys.notAfterMs < clock.now())
        await renewTraced(keys).then(renewed, (error: unknown) =>
          log.info({ because: reasonOf(error) }, "no fresh credentials now"),
        );
      return { jwt: keys.natsJwt, seed: keys.nkeySeed };
    },
    failed: (error) => {
      natsFailures += 1;
      if (natsFailures === 1)
        log.warn({ because: reasonOf(error) }, "NATS is not reachable; the last good state is kept");
    },
  });
  let report: Report | undefined;
  const kept = await readKeptJournal({ cluster, namespace, clock, log }, signal);
  const journal = new Journal(journalEvents, () => clock.now(), kept.events);
  // Ends after the engine, so that nothing is journalled after its last write.
  await using _keeping = kept.keep(journal, () => report?.isConnected() === true);
  let opened: Engine | undefined;
  const giveBack = (): void => {
    opened?.rest();
    giveBackMemory();
  };
  const rest = afterBusyTime(giveBack, restMs, { clock, signal });
  await using engine = await startEngine({
    cluster,
    clusterId: keys.cluster,
    namespace,
    ...(parts.authority === undefined ? {} : { authority: parts.authority }),
    trust: { rootKey: keys.rootKey, sealingKey: keys.sealingKey },
    fetch: (address, slices, either) => pull.blob(address, slices, either),
    journal,
    clock,
    log,
    telemetry,
    onStatus: (status) => {
      rest.busy();
      // What is told before there is a report is in its Hello.
      report?.status(status);
    },
  });
  opened = engine;
  const reporting = openReport({
    access: () => keys,
    hello: async () => ({
      agentVersion,
      kubernetesVersion: await cluster.version(signal).catch(() => ""),
      envelope: engine.envelope(),
    }),
    journal,
    statuses: () => engine.statuses(),
    onFullReport: () => engine.repeatReceipts(),
    onWelcome: () => pull.poke(),
    onGeneration: (order) => {
      if (compareOrder(order, engine.order()) > 0) pull.poke();
    },
    onRevoked: (because) => log.error({ because }, "this cluster was revoked; what runs is kept, nothing is pruned"),
    clock,
    log,
    signal,
  });
  report = reporting;
  journal.recorded = () => reporting.event();
  log.info({ cluster: keys.cluster, hub: keys.hub }, "agent started");
  const renewing = keepRenewed(() => keys, renewTraced, renewed, { clock, log, signal }).catch(() => undefined);
  for await (const document of pull.documents(signal)) {
    natsFailures = 0;
    engine.take(document.bytes, document.traceparent ?? "");
  }
  await Promise.all([renewing, reporting.ended]);
}

async function joinedKeys(parts: AgentParts): Promise<AgentKeys> {
  const { cluster, namespace, log, clock, signal } = parts;
  for (let attempt = 1; ; attempt += 1) {
    try {
      const stored = await readKeys(cluster, namespace, signal);
      if (stored.kind === "joined") return stored.keys;
      if (parts.join === undefined)
        throw new NotJoined(`this cluster has not joined a hub: run the line that plumb cluster register prints`);
      // Imported only here: making a certificate request needs libraries that a running agent does without.
      const { join } = await import("#agent/enrol/join.ts");
      const line = parts.join;
      return await parts.telemetry.traced("agent.enrol", {}, () => join(cluster, namespace, line));
    } catch (error) {
      if (
        signal.aborted ||
        error instanceof NotJoined ||
        error instanceof EnrolmentRefused ||
        error instanceof WrongHub
      )
        throw error;
      log.warn({ because: reasonOf(error) }, "cannot start yet; it is tried again");
      await clock.sleep(backoffMs(retries, attempt), { signal });
    }
  }
}

/** Opens everything that an agent process needs, runs it, and closes it. */
export async function agentProcess(config: AgentConfig, signal: AbortSignal): Promise<void> {
  await using telemetry = await openTelemetry("plumbline-agent", config.otlpEndpoint);
  const access =
    config.kubeconfig === undefined
      ? inClusterAccess(config.inCluster!, config.serviceAccountFolder)
      : await kubeconfigAccess(config.kubeconfig, config.context);
  const log = createLog("agent", config.logLevel);
  await using cluster = openKubernetes(access, { turnedAway: tellTurnedAway(log, systemClock) });
  await runAgent({
    cluster,
    namespace: config.namespace,
    authority: config.authority,
    join: config.join,
    clock: systemClock,
    log,
    telemetry,
    signal,
  });
}
