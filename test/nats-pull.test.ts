import { randomBytes } from "node:crypto";
import { createUser } from "@nats-io/nkeys";
import { connect, jwtAuthenticator, type NatsConnection } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { BlobMissing } from "#agent/pull/blob.ts";
import { openPull, type Pull, type PulledDocument } from "#agent/pull/pull.ts";
import { openBroker, type Broker } from "#hub/publish/broker.ts";
import type { Lease } from "#hub/publish/held-lease.ts";
import { systemClock, type Clock } from "#lib/clock.ts";
import { addressOf } from "#proto/bundle.ts";
import { clusterId, type ClusterId } from "#proto/ids.ts";
import { createAuthority } from "#test/harness/authority.ts";
import { startNatsServer, type NatsServer } from "#test/harness/nats-server.ts";

const c1 = clusterId("c1");
const c2 = clusterId("c2");
const bytes = (text: string): Buffer => Buffer.from(text);

test("an agent reads its document at the start, and each newer one when it is told", async () => {
  await using hub = await startHub();
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  await hub.broker.publish([{ cluster: c1, envelope: bytes("one"), traceparent }], hub.lease);
  await using agent = startAgent(hub.server, c1);
  await using documents = reader(agent.pull);
  expect(await documents.next()).toEqual({ bytes: bytes("one"), traceparent });
  await hub.broker.publish([{ cluster: c2, envelope: bytes("another's") }], hub.lease);
  await hub.broker.publish([{ cluster: c1, envelope: bytes("two") }], hub.lease);
  expect(await documents.next()).toEqual({ bytes: bytes("two"), traceparent: undefined });
});

test("an agent that starts before its document is there gets it, in a batch too", async () => {
  await using hub = await startHub();
  await using agent = startAgent(hub.server, c1);
  await using documents = reader(agent.pull);
  const next = documents.next();
  await hub.broker.publish(
    [c2, c1].map((cluster) => ({ cluster, envelope: bytes(`for ${cluster}`) })),
    hub.lease,
  );
  expect((await next).bytes).toEqual(bytes("for c1"));
});

test("the first document of a cluster is read when it is told of, and not at the agent's next try", async () => {
  await using hub = await startHub();
  const asleep = Promise.withResolvers<void>();
  const clock: Clock = {
    ...systemClock,
    // Whoever waits for the time alone waits for ever.
    sleep: (_ms, { signal } = {}) =>
      new Promise((_resolve, reject) => {
        const end = (): void => reject(signal?.reason as Error);
        if (signal?.aborted === true) end();
        signal?.addEventListener("abort", end, { once: true });
        asleep.resolve();
      }),
  };
  await using agent = startAgent(hub.server, c1, undefined, undefined, clock);
  await using documents = reader(agent.pull);
  const next = documents.next();
  await asleep.promise;
  await hub.broker.publish([{ cluster: c1, envelope: bytes("one") }], hub.lease);
  expect((await next).bytes).toEqual(bytes("one"));
});

test("the same bytes are not given twice, whoever pokes", async () => {
  await using hub = await startHub();
  await hub.broker.publish([{ cluster: c1, envelope: bytes("one") }], hub.lease);
  await using agent = startAgent(hub.server, c1);
  await using documents = reader(agent.pull);
  await documents.next();
  agent.pull.poke();
  await hub.broker.publish([{ cluster: c1, envelope: bytes("one") }], hub.lease);
  await hub.broker.publish([{ cluster: c1, envelope: bytes("two") }], hub.lease);
  expect((await documents.next()).bytes).toEqual(bytes("two"));
});

test("after the broker was away an agent reads again, with fresh credentials", async () => {
  await using hub = await startHub();
  await hub.broker.publish([{ cluster: c1, envelope: bytes("one") }], hub.lease);
  await using agent = startAgent(hub.server, c1);
  await using documents = reader(agent.pull);
  await documents.next();
  expect(agent.asked()).toBe(1);
  await hub.server.stop();
  await hub.server.start();
  await hub.broker.publish([{ cluster: c1, envelope: bytes("two") }], hub.lease);
  expect((await documents.next()).bytes).toEqual(bytes("two"));
  expect(agent.asked()).toBeGreaterThan(1);
});

test("a blob comes back as it was put, and a missing one is named", async () => {
  await using hub = await startHub();
  const slices = Array.from({ length: 9 }, (_, n) => randomBytes(n === 8 ? 100 : 512 * 1024));
  const address = addressOf(slices);
  await hub.broker.putBlob({ address, slices });
  await using agent = startAgent(hub.server, c1);
  const { signal } = new AbortController();
  expect(addressOf(await agent.pull.blob(address, 9, signal))).toBe(address);
  await expect(agent.pull.blob(address, 10, signal)).rejects.toThrow(BlobMissing);
});

test("an agent sees nothing of another cluster, of the lease, or of JetStream", async () => {
  await using hub = await startHub();
  await hub.broker.publish([{ cluster: c2, envelope: bytes("secret") }], hub.lease);
  await using thief = await agentConnection(hub.server, c1);
  const ask = (subject: string): Promise<unknown> => thief.request(subject, "", { timeout: 300 });
  await expect(ask("plb.get.desired.c2")).rejects.toThrow(/permissions violation/i);
  await expect(ask("plb.get.desired.*")).rejects.toThrow(/permissions violation/i);
  await expect(ask("$JS.API.DIRECT.GET.PLB_DESIRED.plb.desired.c2")).rejects.toThrow(/permissions violation/i);
  await expect(ask("$JS.API.DIRECT.GET.PLB_DESIRED.plb.lease.hub")).rejects.toThrow(/permissions violation/i);
  await expect(ask("$JS.API.STREAM.INFO.PLB_DESIRED")).rejects.toThrow(/permissions violation/i);
  await expect(ask("plb.desired.c1")).rejects.toThrow(/permissions violation/i);
  for (const subject of ["plb.notify.c2", "_INBOX.c2.>", "plb.>", ">"])
    expect(await subscriptionError(thief, subject), subject).toMatch(/permissions violation/i);
  expect((await ask("plb.get.desired.c1")) as { headers: { code: number } }).toMatchObject({ headers: { code: 404 } });
});

test("an agent cannot have a read answered into another cluster's document", async () => {
  await using hub = await startHub();
  const slices = [bytes("forged")];
  const address = addressOf(slices);
  await hub.broker.putBlob({ address, slices });
  await hub.broker.publish([{ cluster: c2, envelope: bytes("true") }], hub.lease);
  await using thief = await agentConnection(hub.server, c1);
  for (const reply of ["plb.desired.c2", "plb.lease.hub", `plb.blob.${address}.1`])
    thief.publish(`plb.get.blob.${address}.0`, "", { reply });
  await thief.flush();
  // Whatever the broker made of them, it did before it answered this.
  await thief.request(`plb.get.blob.${address}.0`);
  expect(await hub.broker.documents()).toEqual(new Map([[c2, bytes("true")]]));
  expect(await hub.broker.hasBlob(address, 1)).toBe(true);
  expect(await hub.lease.renew()).toBe("held");
});

test("a revoked agent is thrown out and stays out, also after the broker starts again", async () => {
  await using hub = await startHub();
  const { identity } = hub.server;
  // One JWT for all its tries: what is signed in a later second than that of the revocation is a new permission.
  const pass = passOf(hub.server, c1);
  const revoked = await agentConnection(hub.server, c1, pass);
  await using other = await agentConnection(hub.server, c2);
  const seconds = Math.floor(Date.now() / 1000);
  await hub.broker.pushClaims(identity.agentsAccountJwt(new Map([[pass.user.getPublicKey(), seconds]])));
  await revoked.closed();
  await expect(agentConnection(hub.server, c1, pass)).rejects.toThrow(/authorization/i);
  expect(other.isClosed()).toBe(false);
  await hub.server.stop();
  await hub.server.start();
  await expect(agentConnection(hub.server, c1, pass)).rejects.toThrow(/authorization/i);
  await using back = await agentConnection(hub.server, c2);
  expect(back.isClosed()).toBe(false);
});

test("an nkey that is not a user's is not signed for", async () => {
  await using server = await startNatsServer();
  for (const nkey of ["", "UABC", server.identity.systemAccount])
    expect(() => server.identity.agentJwt(c1, nkey, Date.now() + 60_000)).toThrow("not the public key");
});

test("a JWT that has ended opens nothing, and the agent asks for the next one until it does", async () => {
  await using hub = await startHub();
  await hub.broker.publish([{ cluster: c1, envelope: bytes("one") }], hub.lease);
  let asked = 0;
  await using agent = startAgent(hub.server, c1, undefined, () => (++asked < 3 ? -60_000 : 60_000));
  await using documents = reader(agent.pull);
  expect((await documents.next()).bytes).toEqual(bytes("one"));
  expect(agent.asked()).toBe(3);
});

test("over TLS an agent takes the hub's authority and no other", async () => {
  const authority = await createAuthority();
  const certificate = await authority.issue("CN=nats", { ips: ["127.0.0.1"] });
  await using hub = await startHub(certificate, authority.certificatePem);
  await hub.broker.publish([{ cluster: c1, envelope: bytes("one") }], hub.lease);
  await using agent = startAgent(hub.server, c1, authority.certificatePem);
  await using documents = reader(agent.pull);
  expect((await documents.next()).bytes).toEqual(bytes("one"));
  await using fooled = startAgent(hub.server, c1, (await createAuthority()).certificatePem);
  expect(await fooled.failure).toMatch(/certificate/i);
});

type Hub = AsyncDisposable & { readonly server: NatsServer; readonly broker: Broker; readonly lease: Lease };

async function startHub(tls?: { keyPem: string; certificatePem: string }, ca?: string): Promise<Hub> {
  await using all = new AsyncDisposableStack();
  const server = all.use(await startNatsServer(tls));
  const broker = all.use(await openBroker({ url: server.url, identity: server.identity, ca }));
  await broker.ensureStreams();
  const lease = all.use(await broker.lease("hub"));
  const owned = all.move();
  return { server, broker, lease, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

type Agent = AsyncDisposable & {
  readonly pull: Pull;
  /** How often it asked for credentials. */
  asked(): number;
  /** Why its first failed connection failed. */
  readonly failure: Promise<string>;
};

function startAgent(
  server: NatsServer,
  cluster: ClusterId,
  ca?: string,
  lifeMs = (): number => 60_000,
  clock = systemClock,
): Agent {
  const user = createUser();
  const failure = Promise.withResolvers<string>();
  let asked = 0;
  const pull = openPull({
    urls: [server.url],
    cluster,
    ca,
    clock,
    credentials: async () => {
      asked++;
      const jwt = server.identity.agentJwt(cluster, user.getPublicKey(), Date.now() + lifeMs());
      return { jwt, seed: Buffer.from(user.getSeed()).toString() };
    },
    failed: (error) => failure.resolve(String(error)),
  });
  return {
    pull,
    asked: () => asked,
    failure: failure.promise,
    [Symbol.asyncDispose]: async () => pull[Symbol.asyncDispose](),
  };
}

function reader(pull: Pull): AsyncDisposable & { next(): Promise<PulledDocument> } {
  const stop = new AbortController();
  const documents = pull.documents(stop.signal)[Symbol.asyncIterator]();
  return {
    next: async () => {
      const { value, done } = await documents.next();
      if (done === true) throw new Error("the documents ended");
      return value;
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await documents.return?.();
    },
  };
}

type Pass = { readonly user: ReturnType<typeof createUser>; readonly jwt: string };

function passOf({ identity }: NatsServer, cluster: ClusterId): Pass {
  const user = createUser();
  return { user, jwt: identity.agentJwt(cluster, user.getPublicKey(), Date.now() + 60_000) };
}

/** A connection with an agent's credentials and any client's manners. */
const agentConnection = (
  server: NatsServer,
  cluster: ClusterId,
  { user, jwt }: Pass = passOf(server, cluster),
): Promise<NatsConnection> =>
  connect({
    servers: server.url,
    authenticator: jwtAuthenticator(jwt, user.getSeed()),
    inboxPrefix: `_INBOX.${cluster}`,
    reconnect: false,
  });

function subscriptionError(nats: NatsConnection, subject: string): Promise<string> {
  return new Promise((resolve) => {
    nats.subscribe(subject, { callback: (error) => resolve(String(error)) });
  });
}
