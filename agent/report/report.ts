import { credentials, Metadata } from "@grpc/grpc-js";
import { channelOptions } from "#agent/enrol/hub-client.ts";
import type { Journal } from "#agent/report/journal.ts";
import type { Clock } from "#lib/clock.ts";
import { duplexOf, type Duplex } from "#lib/duplex.ts";
import { reasonOf, type Log } from "#lib/log.ts";
import { backoffMs } from "#lib/retry.ts";
import {
  AgentServiceClient,
  type AgentMessage,
  type ApplicationStatus,
  type HubMessage,
  type Welcome,
} from "#proto/gen/plumbline/agent/v1/agent.ts";
import { reportHash } from "#proto/status.ts";

export const protocolVersion = 1;
/** Until the hub has said its own. */
const heartbeatMs = 15_000;
const welcomeWithinMs = 20_000;
/** At 15 s, 10,000 agents that come back at once are 700 connections a second. */
const retries = { firstMs: 500, capMs: 15_000 };
/** Events sent ahead of their acknowledgements: the hub's writes set the pace, not its round trips. */
const eventsInFlight = 64;
/**
 * Time for a goodbye, and what was said before it, to be read before the stream is cut; a hub that hears none calls the
 * connection lost, and what it did not answer is written to the journal. An agent that is told to stop has seconds.
 */
const goodbyeWithinMs = 3_000;

export type ReportOptions = {
  /** Asked before each session, for both change while the agent lives. */
  readonly access: () => { hub: string; caPem: string; certificatePem: string; tlsKeyPem: string };
  readonly hello: () => Promise<{ agentVersion: string; kubernetesVersion: string; envelope: Uint8Array }>;
  readonly journal: Journal;
  readonly statuses: () => readonly ApplicationStatus[];
  /** The hub has nothing of this agent: receipts are said again. */
  readonly onFullReport: () => void;
  /** The hub is there, maybe again. */
  readonly onWelcome: () => void;
  /** A document newer than what is here may exist. */
  readonly onGeneration: (order: { epoch: number; generation: bigint }) => void;
  readonly onRevoked: (because: string) => void;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
};

/** What this agent has to say, on one stream after another, for as long as it lives. */
export type Report = {
  /** This Application's status is another now. Latest wins while it waits to be sent. */
  status(status: ApplicationStatus): void;
  /** Something was journalled. */
  event(): void;
  isConnected(): boolean;
  readonly ended: Promise<void>;
};

export function openReport(options: ReportOptions): Report {
  const changed = new Map<string, ApplicationStatus>();
  let wakeUp = (): void => undefined;
  let hasNews = false;
  const wake = (): void => {
    hasNews = true;
    wakeUp();
  };
  let connected = false;
  let wasWelcome = false;

  const session = async (): Promise<void> => {
    const { hub, caPem, certificatePem, tlsKeyPem } = options.access();
    const tls = credentials.createSsl(Buffer.from(caPem), Buffer.from(tlsKeyPem), Buffer.from(certificatePem));
    const client = new AgentServiceClient(hub, tls, {
      ...channelOptions(hub),
      "grpc.keepalive_time_ms": 30_000,
      // Waits are ours alone: a shared pool would remember the failures of earlier sessions, and wait for minutes.
      "grpc.use_local_subchannel_pool": 1,
    });
    const stream = duplexOf<HubMessage, AgentMessage>(client.session(new Metadata()));
    const over = new AbortController();
    const stop = (): void =>
      void options.clock.sleep(goodbyeWithinMs, { signal: over.signal }).then(
        () => stream.end(),
        () => undefined,
      );
    options.signal.addEventListener("abort", stop, { once: true });
    try {
      await talk(stream);
    } finally {
      options.signal.removeEventListener("abort", stop);
      over.abort();
      connected = false;
      stream.end();
      client.close();
    }
    if (stream.failure() !== undefined && !options.signal.aborted) throw stream.failure()!;
  };

  const talk = async (stream: Duplex<HubMessage, AgentMessage>): Promise<void> => {
    const { journal } = options;
    const hello = await options.hello();
    const { first, last } = journal.range;
    await stream.send({
      body: {
        $case: "hello",
        value: {
          protocol: protocolVersion,
          agentVersion: hello.agentVersion,
          kubernetesVersion: hello.kubernetesVersion,
          envelope: Buffer.from(hello.envelope),
          reportHash: reportHash(options.statuses()),
          journal: journal.id,
          firstSequence: first,
          lastSequence: last,
        },
      },
    });
    let sent = 0n;
    // Counted, not told by their numbers: a hub that remembers nothing has acknowledged nothing, however far they have come.
    let inFlight: bigint[] = [];
    let welcomed: ((welcome: Welcome) => void) | undefined;
    const welcome = new Promise<Welcome>((resolve) => (welcomed = resolve));
    const listening = (async () => {
      for await (const { body } of stream.messages) {
        switch (body?.$case) {
          case "welcome":
            sent = body.value.acknowledgedSequence;
            journal.acknowledge(sent);
            welcomed?.(body.value);
            break;
          case "ack": {
            const { sequence } = body.value;
            inFlight = inFlight.filter((one) => one > sequence);
            journal.acknowledge(sequence);
            wake();
            break;
          }
          case "generation":
            options.onGeneration(body.value);
            break;
          case "closing":
            if (body.value.revoked) options.onRevoked(body.value.because);
            options.log.info({ because: body.value.because }, "the hub ends the session");
            break;
          case "pong":
          case undefined:
        }
      }
      wake();
    })();
    const over = new Promise<undefined>((resolve) => {
      // A call that failed at once has aborted already, and would never say so again.
      if (stream.signal.aborted) resolve(undefined);
      else stream.signal.addEventListener("abort", () => resolve(undefined), { once: true });
    });
    const limit = new AbortController();
    const granted = await Promise.race([
      welcome,
      over,
      options.clock.sleep(welcomeWithinMs, { signal: limit.signal }).then(
        () => undefined,
        () => undefined,
      ),
    ]);
    limit.abort();
    if (granted === undefined) return;
    connected = true;
    wasWelcome = true;
    options.onWelcome();
    options.log.info({ session: String(granted.sessionEpoch) }, "reporting to the hub");
    if (granted.sendFullReport) {
      options.onFullReport();
      // What is in it need not be told besides; what changes while it is being sent is told after it.
      changed.clear();
      for (const status of options.statuses()) await stream.send({ body: { $case: "status", value: status } });
      await stream.send({ body: { $case: "statusEnd", value: {} } });
    }
    let nonce = 0n;
    let pingAt = options.clock.monotonic();
    const every = granted.heartbeatMs || heartbeatMs;
    while (!stream.signal.aborted && !options.signal.aborted) {
      hasNews = false;
      for (const status of takeAll(changed)) await stream.send({ body: { $case: "status", value: status } });
      for (const event of journal.after(sent)) {
        if (inFlight.length >= eventsInFlight) break;
        inFlight.push(event.sequence);
        if (!(await stream.send({ body: { $case: "event", value: event } }))) break;
        sent = event.sequence;
      }
      if (options.clock.monotonic() >= pingAt) {
        pingAt = options.clock.monotonic() + every;
        await stream.send({ body: { $case: "ping", value: { nonce: (nonce += 1n) } } });
      }
      if (hasNews) continue;
      await nextThing(stream.signal, pingAt - options.clock.monotonic());
    }
    if (options.signal.aborted) {
      await stream.send({ body: { $case: "goodbye", value: { because: "the agent stops" } } });
      stream.finish();
    } else stream.end();
    await listening;
  };

  /** Something to say, the next heartbeat, or the end of the stream. */
  const nextThing = async (over: AbortSignal, ms: number): Promise<void> => {
    const woken = new AbortController();
    wakeUp = () => woken.abort();
    const either = AbortSignal.any([woken.signal, over, options.signal]);
    await options.clock.sleep(Math.max(1, ms), { signal: either }).catch(() => undefined);
    wakeUp = () => undefined;
  };

  const run = async (): Promise<void> => {
    for (let failures = 0; !options.signal.aborted;) {
      wasWelcome = false;
      try {
        await session();
        failures = 0;
      } catch (error) {
        if (options.signal.aborted) return;
        // A session that was welcomed was no failure to connect.
        failures = wasWelcome ? 1 : failures + 1;
        if (failures === 1 || failures % 10 === 0)
          options.log.warn(
            { because: reasonOf(error) },
            "the hub is not reachable; the cluster is kept true without it",
          );
      }
      if (options.signal.aborted) return;
      await options.clock
        .sleep(backoffMs(retries, Math.max(1, failures)), { signal: options.signal })
        .catch(() => undefined);
    }
  };

  return {
    status(status) {
      changed.set(status.application, status);
      wake();
    },
    event: () => wake(),
    isConnected: () => connected,
    ended: run(),
  };
}

function takeAll(changed: Map<string, ApplicationStatus>): ApplicationStatus[] {
  const all = [...changed.values()];
  changed.clear();
  return all;
}
