import type { ServerDuplexStream } from "@grpc/grpc-js";
import type { Clock } from "#lib/clock.ts";
import { duplexOf, type Duplex } from "#lib/duplex.ts";
import type { Log } from "#lib/log.ts";
import type {
  AgentMessage,
  ApplicationStatus,
  Event,
  Hello,
  HubMessage,
  Welcome,
} from "#proto/gen/plumbline/agent/v1/agent.ts";
import type { ClusterId } from "#proto/ids.ts";

export const heartbeatMs = 15_000;
/** Three heartbeats without a word: lost, whatever the connection says. */
export const silenceMs = 3 * heartbeatMs;
/** A caller that says nothing at all does not keep a stream. */
const helloWithinMs = 10_000;

export const protocolVersion = 1;

/** One agent's stream. The newest session of a cluster wins. */
export type Session = {
  readonly epoch: bigint;
  readonly hello: Hello;
  readonly connectedAtMs: number;
  /** The hub's own receipt time of the last message. */
  heardAtMs(): number;
  send(message: HubMessage): Promise<boolean>;
  close(because: string, revoked: boolean): void;
};

/** What the hub does with what an agent says. A session reads on only when the promise has resolved. */
export type SessionHandler = {
  hello(cluster: ClusterId, hello: Hello): Promise<Pick<Welcome, "sendFullReport" | "acknowledgedSequence">>;
  /** Resolves once the event is kept: it is then acknowledged, and the agent forgets it. */
  event(cluster: ClusterId, event: Event, journal: string): Promise<void>;
  status(cluster: ClusterId, status: ApplicationStatus): Promise<void>;
  /** A full report is over: Applications that it did not name do not exist there. */
  statusEnd(cluster: ClusterId, named: ReadonlySet<string>): Promise<void>;
  heard(cluster: ClusterId, atMs: number): void;
  gone(cluster: ClusterId, because: string): void;
};

type Settings = {
  readonly handler: SessionHandler;
  readonly clock: Clock;
  readonly log: Log;
  readonly sessions: Map<ClusterId, Session>;
  readonly nextEpoch: () => bigint;
};

export async function runSession(
  call: ServerDuplexStream<AgentMessage, HubMessage>,
  cluster: ClusterId,
  settings: Settings,
): Promise<void> {
  const { handler, clock, sessions } = settings;
  const stream = duplexOf<AgentMessage, HubMessage>(call);
  const deadline = watchSilence(stream, clock);
  let session: Session | undefined;
  let goodbye: string | undefined;
  const full = new Set<string>();
  try {
    for await (const { body } of stream.messages) {
      deadline.heard();
      handler.heard(cluster, clock.now());
      if (session === undefined) {
        if (body?.$case !== "hello" || body.value.protocol !== protocolVersion) {
          await stream.send(closing("the first word must be a Hello of protocol 1", false));
          return;
        }
        session = await open(stream, cluster, body.value, deadline, settings);
        continue;
      }
      switch (body?.$case) {
        case "event":
          await handler.event(cluster, body.value, session.hello.journal);
          await stream.send({ body: { $case: "ack", value: { sequence: body.value.sequence } } });
          break;
        case "status":
          full.add(body.value.application);
          await handler.status(cluster, body.value);
          break;
        case "statusEnd":
          await handler.statusEnd(cluster, new Set(full));
          full.clear();
          break;
        case "ping":
          await stream.send({ body: { $case: "pong", value: { nonce: body.value.nonce } } });
          break;
        case "goodbye":
          goodbye = body.value.because;
          break;
        case "hello":
        case undefined:
      }
    }
  } finally {
    deadline.stop();
    // A newer session may have taken the place: it is the session that is gone, not the cluster.
    if (session !== undefined && sessions.get(cluster) === session) {
      sessions.delete(cluster);
      handler.gone(cluster, goodbye ?? "connection lost");
    }
    call.end();
  }
}

async function open(
  stream: Duplex<AgentMessage, HubMessage>,
  cluster: ClusterId,
  hello: Hello,
  deadline: { heardAtMs(): number },
  { handler, clock, sessions, nextEpoch, log }: Settings,
): Promise<Session> {
  const session: Session = {
    epoch: nextEpoch(),
    hello,
    connectedAtMs: clock.now(),
    heardAtMs: () => deadline.heardAtMs(),
    send: (message) => stream.send(message),
    close(because, revoked) {
      void stream.send(closing(because, revoked)).then(() => stream.end());
    },
  };
  sessions.get(cluster)?.close("a newer session of this cluster began", false);
  sessions.set(cluster, session);
  const answer = await handler.hello(cluster, hello);
  await stream.send({
    body: { $case: "welcome", value: { sessionEpoch: session.epoch, heartbeatMs, ...answer } },
  });
  log.info({ cluster, kubernetes: hello.kubernetesVersion, agent: hello.agentVersion }, "agent connected");
  return session;
}

const closing = (because: string, revoked: boolean): HubMessage => ({
  body: { $case: "closing", value: { because, revoked } },
});

/** Ends a stream that says nothing: a half-dead connection looks well for as long as nobody asks. */
function watchSilence(stream: Duplex<AgentMessage, HubMessage>, clock: Clock) {
  let heardAt = clock.monotonic();
  let heardAtMs = clock.now();
  let limitMs = helloWithinMs;
  const stop = new AbortController();
  const watch = async (): Promise<void> => {
    for (;;) {
      const left = heardAt + limitMs - clock.monotonic();
      if (left <= 0) return stream.end();
      await clock.sleep(left, { signal: stop.signal });
    }
  };
  void watch().catch(() => undefined);
  return {
    heard() {
      heardAt = clock.monotonic();
      heardAtMs = clock.now();
      limitMs = silenceMs;
    },
    heardAtMs: () => heardAtMs,
    stop: () => stop.abort(),
  };
}
