import { startAgents, type Agents } from "#hub/agents/agents.ts";
import { createEnrolment, type Enrolment } from "#hub/agents/enrol.ts";
import { createListener } from "#hub/loop/listener.ts";
import type { ClusterId } from "#proto/ids.ts";
import { hostFor, serverNames } from "./addresses.ts";
import type { Deciding } from "./deciding.ts";
import type { Git } from "./git.ts";
import type { Rendering } from "./rendering.ts";
import type { Term } from "./term.ts";

export type Clusters = {
  readonly agents: Agents;
  /** As agents reach it: "host:port". */
  readonly grpcAddress: string;
  /** Ends the session of a cluster whose record is revoked by now, and shuts the broker's door too. */
  readonly revoked: (cluster: ClusterId, because: string) => Promise<void>;
};

/** Lets clusters in, and hears their agents. */
export async function serveClusters(term: Term, git: Git, { whole }: Rendering, { loop }: Deciding): Promise<Clusters> {
  const { config, identity, clock, log, telemetry, signal, broker, publisher, view, receipts, desired } = term;
  // At every start: a broker that was made anew knows of no revocation.
  await pushRevocations(term, git);
  const server = await identity.authority.issueServer(serverNames(config), clock.now());
  const agents = term.use(
    await startAgents({
      listen: config.listenGrpc,
      tls: { ca: identity.authority.certificatePem, certificate: server.certificatePem, privateKey: server.keyPem },
      enrolment: enrolmentOf(term, git, loop),
      record: (cluster) => git.records.now().clusters.get(cluster),
      handler: createListener({
        view,
        receipts,
        desired,
        broker,
        publisher,
        renders: whole,
        loop,
        clock,
        log,
        telemetry,
        signal,
      }),
      clock,
      log,
      telemetry,
    }),
  );
  term.later.agents = agents;
  return {
    agents,
    grpcAddress: config.advertiseGrpc ?? `${hostFor(config.listenGrpc.host)}:${agents.port}`,
    revoked: async (cluster, because) => {
      agents.disconnect(cluster, because, true);
      await pushRevocations(term, git);
      loop.poke();
    },
  };
}

const enrolmentOf = (
  { config, identity, clock, natsUrls }: Term,
  { records }: Git,
  loop: Deciding["loop"],
): Enrolment =>
  createEnrolment({
    identity,
    now: () => clock.now(),
    isDeclared: (cluster) => loop.state().fleet.clusters.has(cluster),
    record: (cluster) => records.now().clusters.get(cluster),
    accept: async (record) => {
      const outcome = await records.accept(record);
      loop.poke();
      return outcome;
    },
    natsUrls: () => (config.advertiseNats === undefined ? natsUrls : [config.advertiseNats]),
  });

async function pushRevocations({ broker, identity }: Term, { records }: Git): Promise<void> {
  const revoked = [...records.now().clusters.values()].flatMap(({ nkey, revoked }) =>
    revoked === null ? [] : [[nkey, Math.floor(revoked.atMs / 1000)] as const],
  );
  await broker.pushClaims(identity.nats.agentsAccountJwt(new Map(revoked)));
}
