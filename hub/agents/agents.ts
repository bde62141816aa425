import {
  Server,
  status as grpcStatus,
  type handleUnaryCall,
  type ServerDuplexStream,
  type ServerUnaryCall,
} from "@grpc/grpc-js";
import { authenticate, authorityOf, type KeyOnRecord } from "#hub/agents/authenticate.ts";
import { agentServerCredentials } from "#hub/agents/credentials.ts";
import type { Enrolled, Enrolment } from "#hub/agents/enrol.ts";
import { runSession, type Session, type SessionHandler } from "#hub/agents/session.ts";
import type { Clock } from "#lib/clock.ts";
import { reasonOf, type Log } from "#lib/log.ts";
import type { Telemetry } from "#lib/telemetry.ts";
import {
  AgentServiceService,
  EnrolmentServiceService,
  type AgentMessage,
  type HubMessage,
} from "#proto/gen/plumbline/agent/v1/agent.ts";
import type { ClusterId } from "#proto/ids.ts";

/** Larger than any Hello (an envelope of 1,000 entries) or status with 200 exceptional objects. */
const messageBytes = 4 * 1024 * 1024;
/** A connection that answers no ping for so long is dead; faster than the session's own deadline only for idle ones. */
const keepalive = { "grpc.keepalive_time_ms": 30_000, "grpc.keepalive_timeout_ms": 20_000 };

export type AgentsOptions = {
  readonly listen: { readonly host: string; readonly port: number };
  readonly tls: { readonly ca: string; readonly certificate: string; readonly privateKey: string };
  readonly enrolment: Enrolment;
  readonly record: (cluster: ClusterId) => KeyOnRecord | undefined;
  readonly handler: SessionHandler;
  readonly clock: Clock;
  readonly log: Log;
  readonly telemetry: Telemetry;
};

/** The hub's side of every agent: enrolment, and one session a cluster. */
export type Agents = AsyncDisposable & {
  readonly port: number;
  sessions(): ReadonlyMap<ClusterId, Session>;
  send(cluster: ClusterId, message: HubMessage): "sent" | "away";
  disconnect(cluster: ClusterId, because: string, revoked: boolean): void;
};

export async function startAgents(options: AgentsOptions): Promise<Agents> {
  const { listen, tls, enrolment, clock, log } = options;
  const ca = authorityOf(tls.ca);
  const sessions = new Map<ClusterId, Session>();
  const running = new Set<Promise<void>>();
  let lastEpoch = 0n;
  const nextEpoch = (): bigint => {
    const now = BigInt(clock.now());
    lastEpoch = now > lastEpoch ? now : lastEpoch + 1n;
    return lastEpoch;
  };
  // Its own books of every channel and call, which nobody reads, cost a third of a session.
  const server = new Server({
    "grpc.max_receive_message_length": messageBytes,
    "grpc.enable_channelz": 0,
    ...keepalive,
  });
  server.addService(AgentServiceService, {
    session: (call: ServerDuplexStream<AgentMessage, HubMessage>) => {
      const certificate = call.getAuthContext().sslPeerCertificate?.raw;
      const caller = authenticate(certificate, { ca, nowMs: clock.now(), record: options.record });
      if (!caller.ok) return void call.emit("error", { code: grpcStatus.UNAUTHENTICATED, details: caller.because });
      const run = runSession(call, caller.cluster, { ...options, sessions, nextEpoch })
        .catch((error: unknown) => log.error({ cluster: caller.cluster, because: reasonOf(error) }, "a session broke"))
        .finally(() => running.delete(run));
      running.add(run);
    },
  });
  server.addService(EnrolmentServiceService, {
    enrol: answering("hub.enrol", (request) => enrolment.enrol(request), options),
    renew: answering("hub.renew", (request) => enrolment.renew(request), options),
  });
  const port = await bind(server, `${listen.host}:${listen.port}`, tls);
  return {
    port,
    sessions: () => sessions,
    send(cluster, message) {
      const session = sessions.get(cluster);
      if (session === undefined) return "away";
      void session.send(message);
      return "sent";
    },
    disconnect: (cluster, because, revoked) => sessions.get(cluster)?.close(because, revoked),
    async [Symbol.asyncDispose]() {
      for (const session of sessions.values()) session.close("the hub stops", false);
      await Promise.race([
        new Promise<void>((resolve) => server.tryShutdown(() => resolve())),
        clock.sleep(stopGraceMs).catch(() => undefined),
      ]);
      server.forceShutdown();
      // What they have in hand goes to a broker that is closed next.
      const limit = new AbortController();
      const late = clock.sleep(handWithinMs, { signal: limit.signal }).catch(() => undefined);
      await Promise.race([Promise.all(running), late]);
      limit.abort();
    },
  };
}

/** Longer than a broker takes that answers at all; what was not kept by then the agent says again. */
const handWithinMs = 5_000;

/** Time for goodbyes to reach the agents; they come back by themselves in any case. */
const stopGraceMs = 300;

/** A refusal is an answer with a reason; what breaks is told to the log, and to the caller without detail. */
function answering<Request>(
  span: string,
  work: (request: Request) => Promise<Enrolled>,
  { log, telemetry }: Pick<AgentsOptions, "log" | "telemetry">,
): handleUnaryCall<Request, { credentials: (Enrolled & { ok: true })["credentials"] | undefined }> {
  return (call: ServerUnaryCall<Request, unknown>, answer) => {
    const [parent] = call.metadata.get("traceparent");
    telemetry
      .traced(span, { parent: String(parent ?? "") }, () => work(call.request))
      .then(
        (outcome) =>
          outcome.ok
            ? answer(null, { credentials: outcome.credentials })
            : answer({ code: grpcStatus.PERMISSION_DENIED, details: outcome.because }),
        (error: unknown) => {
          log.error({ because: reasonOf(error) }, "an enrolment broke");
          answer({ code: grpcStatus.UNAVAILABLE, details: "the hub could not answer now: try again" });
        },
      );
  };
}

const bind = (server: Server, address: string, tls: AgentsOptions["tls"]): Promise<number> =>
  new Promise((resolve, reject) => {
    // With the CA behind the leaf an agent that knows only its pin can check it.
    const credentials = agentServerCredentials({
      ...tls,
      certificate: `${tls.certificate.trim()}\n${tls.ca.trim()}\n`,
    });
    server.bindAsync(address, credentials, (error, port) => (error === null ? resolve(port) : reject(error)));
  });
