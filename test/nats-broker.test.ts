import { randomBytes } from "node:crypto";
import { connect, jwtAuthenticator, type Msg, type NatsConnection } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { natsIdentity } from "#hub/identity/nats-jwt.ts";
import { createNatsKeys } from "#hub/identity/nats-keys.ts";
import { openBroker, type Broker } from "#hub/publish/broker.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { addressOf } from "#proto/bundle.ts";
import { applicationName, clusterId } from "#proto/ids.ts";
import { subjects } from "#proto/subjects.ts";
import { createAuthority } from "#test/harness/authority.ts";
import { startNatsServer, type NatsServer } from "#test/harness/nats-server.ts";

const c1 = clusterId("c1");
const bytes = (text: string): Buffer => Buffer.from(text);

test("a stale leader's documents are refused, also for a cluster that nobody wrote since", async () => {
  await using server = await startNatsServer();
  await using first = await open(server);
  await using second = await open(server);
  const clock = new VirtualClock();
  await using stale = await first.lease("hub-1", { clock });
  expect(await first.publish([{ cluster: c1, envelope: bytes("by hub-1") }], stale)).toBe("published");

  // Nobody moves the first hub's clock: it is paused. The second's runs on.
  const standby = new VirtualClock();
  await using leader = await until(second.lease("hub-2", { clock: standby }), standby);
  expect(stale.lost.aborted).toBe(false);
  expect(await first.publish([{ cluster: clusterId("c9"), envelope: bytes("stale") }], stale)).toBe("fenced");
  expect(stale.lost.aborted).toBe(true);
  expect(await second.publish([{ cluster: c1, envelope: bytes("by hub-2") }], leader)).toBe("published");
  expect(await texts(second)).toEqual({ c1: "by hub-2" });
});

test("a lease that is renewed is not taken, and one that is given back is taken at once", async () => {
  await using server = await startNatsServer();
  await using broker = await open(server);
  const clock = new VirtualClock();
  const lease = await broker.lease("hub-1", { clock, periodMs: 1_000 });
  const standby = new VirtualClock();
  let taken = false;
  const waiting = broker.lease("hub-2", { clock: standby, periodMs: 1_000 }).finally(() => (taken = true));
  for (let n = 0; n < 10; n++) {
    expect(await lease.renew()).toBe("held");
    await standby.advance(1_000);
    await sleeping(standby);
  }
  expect(taken).toBe(false);
  await lease[Symbol.asyncDispose]();
  await using next = await until(waiting, standby);
  expect(next.holder).toBe("hub-2");
  expect(standby.monotonic()).toBeLessThan(13_000);
});

test("a leader renews its lease by itself, so that a standby waits", async () => {
  await using server = await startNatsServer();
  await using broker = await open(server);
  await using admin = await hubConnection(server);
  const clock = new VirtualClock();
  await using lease = await broker.lease("hub-1", { clock, periodMs: 1_000 });
  const standby = new VirtualClock();
  const stop = new AbortController();
  const waiting = broker.lease("hub-2", { clock: standby, periodMs: 1_000, signal: stop.signal });
  waiting.catch(() => undefined);
  const holders: string[] = [];
  const moved = (message: Msg): void => void holders.push(message.json<{ holder: string }>().holder);
  admin.subscribe(subjects.lease, { callback: (_error, message) => moved(message) });
  await admin.flush();
  // The same time passes for both, however long the broker takes for what they do in it.
  for (let period = 1; period <= 10; period += 1) {
    await Promise.all([sleeping(clock), sleeping(standby)]);
    await clock.advance(1_000);
    while (holders.length < period) await new Promise((resolve) => setImmediate(resolve));
    await standby.advance(1_000);
  }
  expect(holders).toEqual(Array(10).fill("hub-1"));
  expect(lease.lost.aborted).toBe(false);
  stop.abort(new Error("enough"));
  await expect(waiting).rejects.toThrow("enough");
});

test("a leader goes on publishing while its lease is renewed", async () => {
  await using server = await startNatsServer();
  await using broker = await open(server);
  await using lease = await broker.lease("hub-1");
  const outcomes = await Promise.all(
    Array.from({ length: 50 }, async (_, n) => [
      await broker.publish([{ cluster: clusterId(`c${n}`), envelope: bytes(`${n}`) }], lease),
      await lease.renew(),
    ]),
  );
  expect(new Set(outcomes.flat())).toEqual(new Set(["published", "held"]));
});

test("a lease is lost when the broker's streams are gone, and can be had again", async () => {
  await using server = await startNatsServer();
  await using broker = await open(server);
  await using admin = await hubConnection(server);
  await using lease = await broker.lease("hub-1");
  await admin.request("$JS.API.STREAM.DELETE.PLB_DESIRED", "");
  await broker.ensureStreams();
  expect(await lease.renew()).toBe("lost");
  await using again = await broker.lease("hub-1");
  expect(await broker.publish([{ cluster: c1, envelope: bytes("again") }], again)).toBe("published");
});

test("a batch is stored whole or not at all", async () => {
  await using server = await startNatsServer();
  await using broker = await open(server);
  await using lease = await broker.lease("hub-1");
  const documents = Array.from({ length: 1_234 }, (_, n) => ({
    cluster: clusterId(`c${n}`),
    envelope: randomBytes(2_000),
  }));
  expect(await broker.publish(documents, lease)).toBe("published");
  const stored = await broker.documents();
  expect(stored.size).toBe(1_234);
  expect(documents.every(({ cluster, envelope }) => envelope.equals(stored.get(cluster)!))).toBe(true);

  // Another hub takes the lease without this one's knowledge.
  await using admin = await hubConnection(server);
  await admin.request(subjects.lease, JSON.stringify({ holder: "hub-2", session: "other" }));
  const newer = documents.slice(0, 900).map(({ cluster }) => ({ cluster, envelope: bytes("newer") }));
  expect(await broker.publish(newer, lease)).toBe("fenced");
  const kept = await broker.documents();
  expect([...kept.values()].filter((document) => document.length !== 2_000)).toEqual([]);
});

test("a document too large for the broker is refused by name before any is sent", async () => {
  await using server = await startNatsServer();
  await using broker = await open(server);
  await using lease = await broker.lease("hub-1");
  const publish = broker.publish(
    [
      { cluster: c1, envelope: bytes("fine") },
      { cluster: clusterId("big"), envelope: randomBytes(1024 * 1024) },
    ],
    lease,
  );
  await expect(publish).rejects.toThrow("Cluster big");
  expect(await texts(broker)).toEqual({});
});

test("a blob is written once, and what stands there is never replaced", async () => {
  await using server = await startNatsServer();
  await using broker = await open(server);
  await using admin = await hubConnection(server);
  const slices = [randomBytes(512 * 1024), randomBytes(512 * 1024), randomBytes(1_000)];
  const address = addressOf(slices);
  expect(await broker.hasBlob(address, 3)).toBe(false);
  await admin.request(subjects.blob(address, 1), "half of an earlier try");
  await broker.putBlob({ address, slices });
  await broker.putBlob({ address, slices });
  expect(await broker.hasBlob(address, 3)).toBe(true);
  const read = await admin.request(`$JS.API.DIRECT.GET.PLB_BLOBS.${subjects.blob(address, 1)}`, "");
  expect(read.string()).toBe("half of an earlier try");
  expect(await broker.blobs()).toEqual(new Set([address]));
  await broker.dropBlob(address);
  expect(await broker.hasBlob(address, 3)).toBe(false);
});

test("the last status of every application is read back", async () => {
  await using server = await startNatsServer();
  await using broker = await open(server);
  const shop = applicationName("shop");
  for (const text of ["old", "new"]) await broker.putStatus(c1, shop, bytes(text));
  await broker.putStatus(clusterId("c2"), shop, bytes("two"));
  const found = await Array.fromAsync(broker.statuses());
  expect(
    found.map((status) => `${status.cluster} ${status.application} ${Buffer.from(status.bytes).toString()}`),
  ).toEqual(["c1 shop new", "c2 shop two"]);
});

test("events are read on from a cursor, and a cursor of another history is gone", async () => {
  await using server = await startNatsServer();
  await using broker = await open(server);
  const first = await broker.appendEvent("DriftSeen", c1, bytes("one"));
  const last = await broker.appendEvent("DriftHealed", "hub", bytes("two"));
  const page = await broker.events(undefined, { limit: 1 });
  expect(page).toMatchObject({ events: [{ cursor: first, type: "DriftSeen", cluster: "c1" }], hasMore: true });
  const rest = await broker.events(first, { limit: 10 });
  expect(rest).toMatchObject({ events: [{ cursor: last, type: "DriftHealed", cluster: "hub" }], hasMore: false });
  expect(await broker.events(last, { limit: 10 })).toEqual({ events: [], hasMore: false });

  const [stream] = last.split(":");
  expect(await broker.events(`${stream}:99`, { limit: 10 })).toBe("gone");
  expect(await broker.events("0123456789abcdef:1", { limit: 10 })).toBe("gone");
  expect(await broker.events("nonsense", { limit: 10 })).toBe("gone");

  await using admin = await hubConnection(server);
  await admin.request("$JS.API.STREAM.DELETE.PLB_EVENTS", "");
  await broker.ensureStreams();
  const anew = await broker.appendEvent("DriftSeen", c1, bytes("three"));
  expect(await broker.events(last, { limit: 10 })).toBe("gone");
  expect(await broker.events(undefined, { limit: 10 })).toMatchObject({ events: [{ cursor: anew }] });
});

test("what a broker acknowledged is there after it was killed, and the hub's connection comes back", async () => {
  await using server = await startNatsServer();
  await using broker = await open(server);
  await using lease = await broker.lease("hub-1");
  await broker.publish([{ cluster: c1, envelope: bytes("kept") }], lease);
  process.kill(server.child().pid, "SIGKILL");
  await server.child().exited;
  // The test's own limit is the only clock.
  while (broker.isConnected()) await new Promise((resolve) => setTimeout(resolve, 5));
  await server.start();
  expect(await broker.publish([{ cluster: clusterId("c2"), envelope: bytes("after") }], lease)).toBe("published");
  expect(await texts(broker)).toEqual({ c1: "kept", c2: "after" });
  expect(broker.isConnected()).toBe(true);
  await broker.ensureStreams();
});

test("a hub that starts before its broker waits for it, and stops waiting when told", async () => {
  await using server = await startNatsServer();
  await server.stop();
  const failed = Promise.withResolvers<unknown>();
  const opening = openBroker({ url: server.url, identity: server.identity, failed: failed.resolve });
  expect(await failed.promise).toBeInstanceOf(Error);
  const stop = new AbortController();
  const given = openBroker({ url: server.url, identity: server.identity, signal: stop.signal });
  stop.abort(new Error("told to stop"));
  await expect(given).rejects.toThrow("told to stop");
  await server.start();
  await using broker = await opening;
  await broker.ensureStreams();
});

test("a hub that the broker does not know is told so at once", async () => {
  await using server = await startNatsServer();
  const identity = natsIdentity(createNatsKeys());
  await expect(openBroker({ url: server.url, identity })).rejects.toThrow(/authorization/i);
});

test("over TLS the hub trusts its own authority alone", async () => {
  const authority = await createAuthority();
  const { keyPem, certificatePem } = await authority.issue("CN=nats", { ips: ["127.0.0.1"] });
  await using server = await startNatsServer({ keyPem, certificatePem });
  await using broker = await open(server, authority.certificatePem);
  expect(await broker.documents()).toEqual(new Map());
  const stranger = await createAuthority();
  await expect(open(server, stranger.certificatePem)).rejects.toThrow();
});

async function open(server: NatsServer, ca?: string): Promise<Broker> {
  const broker = await openBroker({ url: server.url, identity: server.identity, ca });
  await broker.ensureStreams();
  return broker;
}

/** What an administrator with the hub's own credentials could do. */
const hubConnection = ({ url, identity }: NatsServer): Promise<NatsConnection> =>
  connect({
    servers: url,
    authenticator: jwtAuthenticator(identity.hubUser.jwt, Buffer.from(identity.hubUser.seed)),
  });

async function texts(broker: Broker): Promise<Record<string, string>> {
  const found = [...(await broker.documents())].map(([cluster, document]) => [
    cluster,
    Buffer.from(document).toString(),
  ]);
  return Object.fromEntries(found) as Record<string, string>;
}

/** Lets a virtual clock run, a second at each turn, until what waits on it is done. */
async function until<Value>(waiting: Promise<Value>, clock: VirtualClock): Promise<Value> {
  const done = new AbortController();
  const ended = waiting.finally(() => done.abort());
  ended.catch(() => undefined);
  while (!done.signal.aborted) {
    await sleeping(clock, done.signal);
    await clock.advance(1_000);
  }
  return ended;
}

async function sleeping(clock: VirtualClock, signal?: AbortSignal): Promise<void> {
  const isAsleep = (): boolean => clock.sleeping > 0 || signal?.aborted === true;
  while (!isAsleep()) await new Promise((resolve) => setImmediate(resolve));
}
