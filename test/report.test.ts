import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, expect, test } from "vitest";
import { createKeys } from "#agent/enrol/join.ts";
import { Journal } from "#agent/report/journal.ts";
import { openReport, type Report } from "#agent/report/report.ts";
import { startAgents, type Agents } from "#hub/agents/agents.ts";
import type { SessionHandler } from "#hub/agents/session.ts";
import { createAuthority, openAuthority, requestedKey, type Authority } from "#hub/identity/authority.ts";
import { systemClock } from "#lib/clock.ts";
import { silentLog } from "#lib/log.ts";
import { openTelemetry } from "#lib/telemetry.ts";
import { ApplicationStatus } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { clusterId } from "#proto/ids.ts";

// An agent's report over real gRPC and TLS, to hubs that come and go.
const cluster = clusterId("eu-1");
let authority: Authority;
let keys: { readonly tlsKeyPem: string; readonly csrPem: string };
let certificatePem: string;

beforeAll(async () => {
  authority = await openAuthority(await createAuthority(Date.now()));
  keys = await createKeys("");
  ({ certificatePem } = await authority.issueClient(keys.csrPem, cluster, Date.now()));
});

type Hub = AsyncDisposable & {
  readonly address: string;
  readonly heard: bigint[];
  /** The newest reason of each Application. */
  readonly said: Map<string, string>;
};

/** A hub that knows of nothing before; `keep`: until it resolves, an event is not acknowledged, and no more is read. */
async function startHub(keep: () => Promise<void> = () => Promise.resolve()): Promise<Hub> {
  const heard: bigint[] = [];
  const said = new Map<string, string>();
  const handler: SessionHandler = {
    hello: () => Promise.resolve({ sendFullReport: true, acknowledgedSequence: 0n }),
    event: async (_cluster, { sequence }) => {
      heard.push(sequence);
      await keep();
    },
    status: async (_cluster, { application, reason }) => {
      said.set(application, reason);
      await keep();
    },
    statusEnd: () => Promise.resolve(),
    heard: () => undefined,
    gone: () => undefined,
  };
  const { certificatePem: certificate, keyPem } = await authority.issueServer(["localhost", "127.0.0.1"], Date.now());
  const spki = await requestedKey(keys.csrPem);
  const agents: Agents = await startAgents({
    listen: { host: "127.0.0.1", port: 0 },
    tls: { ca: authority.certificatePem, certificate, privateKey: keyPem },
    enrolment: {
      enrol: () => Promise.reject(new Error("nobody enrols here")),
      renew: () => Promise.reject(new Error("nor here")),
    },
    record: () => ({ spki, revoked: null }),
    handler,
    clock: systemClock,
    log: silentLog,
    telemetry: await openTelemetry("test", undefined),
  });
  return {
    address: `127.0.0.1:${agents.port}`,
    heard,
    said,
    [Symbol.asyncDispose]: () => agents[Symbol.asyncDispose](),
  };
}

type Reporting = AsyncDisposable & Pick<Report, "status">;

/** Reports to whatever hub `hub` names by then. */
function report(
  journal: Journal,
  hub: () => string,
  statuses: () => readonly ApplicationStatus[] = () => [],
): Reporting {
  const life = new AbortController();
  const reporting = openReport({
    access: () => ({ hub: hub(), caPem: authority.certificatePem, certificatePem, tlsKeyPem: keys.tlsKeyPem }),
    hello: () => Promise.resolve({ agentVersion: "0.1.0", kubernetesVersion: "v1.36.3", envelope: new Uint8Array() }),
    journal,
    statuses,
    onFullReport: () => undefined,
    onWelcome: () => undefined,
    onGeneration: () => undefined,
    onRevoked: () => undefined,
    clock: systemClock,
    log: silentLog,
    signal: life.signal,
  });
  journal.recorded = () => reporting.event();
  return {
    status: (status) => reporting.status(status),
    async [Symbol.asyncDispose]() {
      life.abort(new Error("the test is over"));
      await reporting.ended;
    },
  };
}

function tell(journal: Journal, times: number): void {
  for (let n = 0; n < times; n += 1)
    journal.record({
      atMs: 0n,
      application: "",
      environment: "",
      traceparent: "",
      body: { $case: "notice", value: { text: "something happened" } },
    });
}
/** The test's own limit is the only clock: how long a handshake takes is the machine's business. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}
const numbers = (from: number, to: number): bigint[] =>
  Array.from({ length: to - from + 1 }, (_, n) => BigInt(from + n));

test("a hub that remembers nothing hears all that happens from then on, however much was told to the one before", async () => {
  const journal = new Journal(1_000, Date.now);
  let now = "";
  await using after = await startHub();
  {
    await using before = await startHub();
    now = before.address;
    await using _reporting = report(journal, () => now);
    tell(journal, 500);
    await until(() => journal.range.first === 501n);
    expect(before.heard).toEqual(numbers(1, 500));
  }
  now = after.address;
  await using _reporting = report(journal, () => now);
  tell(journal, 200);
  await until(() => journal.range.first === 701n);
  expect(after.heard).toEqual(numbers(501, 700));
});

test("a journal that dropped much tells what it has, the notice of what it dropped first", async () => {
  const journal = new Journal(100, Date.now);
  tell(journal, 1_000);
  await using hub = await startHub();
  await using _reporting = report(journal, () => hub.address);
  await until(() => journal.range.first === 1_001n);
  expect(hub.heard).toEqual(numbers(901, 1_000));
});

test("no more events are on their way than a slow hub can be asked to hold", async () => {
  let on = (): void => undefined;
  const slow = new Promise<void>((resolve) => (on = resolve));
  await using hub = await startHub(() => slow);
  const sent: bigint[] = [];
  const watched = new (class extends Journal {
    override after(sequence: bigint) {
      sent.push(sequence);
      return super.after(sequence);
    }
  })(1_000, Date.now);
  await using _reporting = report(watched, () => hub.address);
  tell(watched, 500);
  await until(() => hub.heard.length > 0);
  // Whoever has more to say says it, and not this.
  tell(watched, 1);
  await until(() => sent.at(-1) === 64n);
  expect(hub.heard).toEqual([1n]);
  on();
  await until(() => watched.range.first === 502n);
  expect(hub.heard).toEqual(numbers(1, 501));
});

test("a hub that stops has stopped when what it has in hand is kept, and not before", async () => {
  const journal = new Journal(1_000, Date.now);
  const kept = Promise.withResolvers<void>();
  const hub = await startHub(() => kept.promise);
  await using _reporting = report(journal, () => hub.address);
  tell(journal, 1);
  await until(() => hub.heard.length > 0);
  const stopped = hub[Symbol.asyncDispose]().then(() => "stopped");
  // More than the goodbyes get.
  expect(await Promise.race([stopped, sleep(1_000, "in hand")])).toBe("in hand");
  kept.resolve();
  expect(await stopped).toBe("stopped");
});

test("what changes while a hub that knows of nothing is told everything is told after it, and not lost", async () => {
  // More than a stream takes before it waits for its reader.
  const names = Array.from({ length: 200 }, (_, n) => `app-${n}`);
  // So much of each that the hub's side of the connection is full long before the last.
  const status = (application: string, reason: string): ApplicationStatus =>
    ApplicationStatus.fromPartial({ application, reason, prunePlan: "x".repeat(10_000) });
  const on = Promise.withResolvers<void>();
  await using hub = await startHub(() => on.promise);
  await using reporting = report(
    new Journal(1_000, Date.now),
    () => hub.address,
    () => names.map((name) => status(name, "before")),
  );
  await until(() => hub.said.size > 0);
  reporting.status(status("app-0", "after"));
  on.resolve();
  await until(() => hub.said.size === names.length && hub.said.get("app-0") === "after");
});
