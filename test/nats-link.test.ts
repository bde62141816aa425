import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { createUser } from "@nats-io/nkeys";
import { connect, jwtAuthenticator, type NatsConnection } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { Link, type NatsCredentials } from "#agent/pull/link.ts";
import { openPull } from "#agent/pull/pull.ts";
import { openBroker } from "#hub/publish/broker.ts";
import { systemClock } from "#lib/clock.ts";
import { clusterId, type ClusterId } from "#proto/ids.ts";
import { subjects } from "#proto/subjects.ts";
import { startNatsServer, type NatsServer } from "#test/harness/nats-server.ts";

const c1 = clusterId("c1");
const c2 = clusterId("c2");

test("an agent is not woken by another agent's read that was answered to it", async () => {
  await using server = await startNatsServer();
  await using broker = await openBroker({ url: server.url, identity: server.identity });
  await broker.ensureStreams();
  await using lease = await broker.lease("hub");
  await broker.publish([{ cluster: c1, envelope: Buffer.from("one") }], lease);

  await using thief = await agentConnection(server, c1);
  await using witness = await agentConnection(server, c2);
  const heard = witness.subscribe(subjects.notify(c2), { max: 2 });
  await witness.flush();
  const notified: number[] = [];
  await using link = await startLink(server, c2, (sequence) => notified.push(sequence));
  expect(await link.connection()).toBeDefined();

  thief.publish(subjects.getDesired(c1), "", { reply: subjects.notify(c2) });
  await thief.flush();
  await thief.request(subjects.getDesired(c1));
  await broker.publish([{ cluster: c2, envelope: Buffer.from("two") }], lease);
  const sequences = await Array.fromAsync(heard, (message) => Number(message.headers?.get("Nats-Sequence")));
  expect(sequences).toHaveLength(2);
  await link.heard();
  expect(notified).toEqual([sequences[1]]);
});

test("a pull that waits for a server that never speaks ends at once when it is told to", async () => {
  const sockets: Socket[] = [];
  const silent = createServer((socket) => sockets.push(socket)).listen(0, "127.0.0.1");
  await once(silent, "listening");
  const { port } = silent.address() as AddressInfo;
  const user = createUser();
  const pull = openPull({
    urls: [`nats://127.0.0.1:${port}`],
    cluster: c1,
    clock: systemClock,
    credentials: async () => ({ jwt: "any", seed: Buffer.from(user.getSeed()).toString() }),
  });
  const stop = new AbortController();
  const read = Array.fromAsync(pull.documents(stop.signal));
  await once(silent, "connection");
  const before = performance.now();
  stop.abort();
  expect(await read).toEqual([]);
  await pull[Symbol.asyncDispose]();
  // It would have waited ten seconds for the server's first word.
  expect(performance.now() - before).toBeLessThan(5_000);
  for (const socket of sockets) socket.destroy();
  await once(silent.close(), "close");
});

test("a pull whose hub gives it no credentials ends at once when it is told to", async () => {
  const asked = Promise.withResolvers<void>();
  const pull = openPull({
    urls: ["nats://127.0.0.1:1"],
    cluster: c1,
    clock: systemClock,
    credentials: (signal) => {
      asked.resolve();
      return new Promise<NatsCredentials>((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
      });
    },
  });
  await asked.promise;
  const blob = pull.blob("0".repeat(64) as never, 1, new AbortController().signal);
  blob.catch(() => undefined);
  await pull[Symbol.asyncDispose]();
  await expect(blob).rejects.toThrow("closed");
});

const credentialsOf = (server: NatsServer, cluster: ClusterId): NatsCredentials => {
  const user = createUser();
  const jwt = server.identity.agentJwt(cluster, user.getPublicKey(), Date.now() + 60_000);
  return { jwt, seed: Buffer.from(user.getSeed()).toString() };
};

function agentConnection(server: NatsServer, cluster: ClusterId): Promise<NatsConnection> {
  const { jwt, seed } = credentialsOf(server, cluster);
  return connect({
    servers: server.url,
    authenticator: jwtAuthenticator(jwt, Buffer.from(seed)),
    inboxPrefix: subjects.inbox(cluster),
    reconnect: false,
  });
}

type RunningLink = AsyncDisposable & {
  connection(): Promise<NatsConnection>;
  /** Resolves once the link has told of something. */
  heard(): Promise<void>;
};

async function startLink(
  server: NatsServer,
  cluster: ClusterId,
  notified: (sequence: number) => void,
): Promise<RunningLink> {
  const stop = new AbortController();
  const first = Promise.withResolvers<void>();
  const link = new Link(
    { urls: [server.url], cluster, clock: systemClock, credentials: async () => credentialsOf(server, cluster) },
    {
      connected: () => undefined,
      failed: () => undefined,
      notified: (sequence) => {
        notified(sequence);
        first.resolve();
      },
    },
  );
  const running = link.run(stop.signal);
  return {
    connection: () => link.connection(stop.signal),
    heard: () => first.promise,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}
