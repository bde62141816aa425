import { randomBytes } from "node:crypto";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fleetReader } from "#hub/fleet/read.ts";
import { createRenders } from "#hub/loop/renders.ts";
import { openSource } from "#hub/loop/sources.ts";
import { createSweep } from "#hub/loop/sweep.ts";
import { openBroker } from "#hub/publish/broker.ts";
import { createRenderer } from "#hub/render/renderer.ts";
import { silentLog } from "#lib/log.ts";
import { openTelemetry } from "#lib/telemetry.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { addressOf } from "#proto/bundle.ts";
import { applicationName, clusterId, environmentName, revision, type BlobAddress } from "#proto/ids.ts";
import { startGitServer } from "#test/harness/git-server.ts";
import { application, configMap, environment } from "#test/harness/manifests.ts";
import { startNatsServer, type NatsServer } from "#test/harness/nats-server.ts";
import { sourceOptions } from "#test/harness/source-options.ts";

const hourMs = 3_600_000;

async function open(server: NatsServer) {
  const broker = await openBroker({ url: server.url, identity: server.identity, ca: undefined });
  await broker.ensureStreams();
  return broker;
}

test("a blob that no document names goes after a day; one that is named, or was named again, stays", async () => {
  await using server = await startNatsServer();
  await using broker = await open(server);
  const put = async (): Promise<BlobAddress> => {
    const slices = [randomBytes(1_000), randomBytes(10)];
    const address = addressOf(slices);
    await broker.putBlob({ address, slices });
    return address;
  };
  const [needed, old, again] = [await put(), await put(), await put()];
  const named = new Set([needed]);
  const forgotten: BlobAddress[] = [];
  const clock = new VirtualClock();
  await using lease = await broker.lease("hub-1");
  const sweep = createSweep({
    broker,
    lease,
    needed: () => named,
    forget: (address) => void forgotten.push(address),
    clock,
    log: silentLog,
  });
  for (let hour = 1; hour <= 24; hour += 1) {
    await clock.advance(hourMs);
    if (hour === 12) named.add(again);
    if (hour === 13) named.delete(again);
    await sweep();
    expect(forgotten).toEqual([]);
  }
  await clock.advance(hourMs);
  await sweep();
  expect(forgotten).toEqual([old]);
  expect(await broker.blobs()).toEqual(new Set([needed, again]));
});

test("a hub that leads no more drops nothing", async () => {
  await using server = await startNatsServer();
  await using broker = await open(server);
  const slices = [randomBytes(10)];
  const address = addressOf(slices);
  await broker.putBlob({ address, slices });
  const clock = new VirtualClock();
  const lease = await broker.lease("hub-1");
  const sweep = createSweep({ broker, lease, needed: () => new Set(), forget: () => undefined, clock, log: silentLog });
  await clock.advance(hourMs);
  await sweep();
  await lease[Symbol.asyncDispose]();
  await using _next = await broker.lease("hub-2");
  await clock.advance(48 * hourMs);
  await sweep();
  expect(await broker.hasBlob(address, 1)).toBe(true);
});

test("what was dropped is rendered and put again when it is needed again", async () => {
  await using server = await startNatsServer();
  await using broker = await open(server);
  await using git = await startGitServer();
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-sweep-"));
  await using telemetry = await openTelemetry("test", undefined);
  const signal = new AbortController().signal;
  const url = await git.createRepository("fleet");
  const files = {
    "fleet/environments.yaml": environment("prod", { follow: "main" }),
    "fleet/shop.yaml": application("shop", { path: "apps/shop", namespace: "shop", environments: ["prod"] }),
    "fleet/eu-1.yaml": "apiVersion: plumbline.dev/v1\nkind: Cluster\nmetadata: {name: eu-1, labels: {env: prod}}\n",
  };
  const commit = await git.commit(
    "fleet",
    "main",
    { ...files, "apps/shop/a.yaml": configMap("a", { a: "1" }) },
    "shop",
  );
  const source = await openSource(
    { name: "fleet", url, remote: {}, follows: () => ["main"] },
    sourceOptions(folder.path, signal),
  );
  await source.following.look();
  await using renderer = createRenderer(Buffer.alloc(32, 7));
  const { fleet, problems } = fleetReader()(await source.mirror.contents(revision(commit), "fleet"));
  expect(problems).toEqual([]);
  const renders = createRenders({
    fleet: () => fleet,
    source: () => source,
    renderer,
    tools: { run: () => Promise.reject(new Error("a plain folder needs no tool")) },
    put: ({ address, slices }) => broker.putBlob({ address, slices: slices.map((slice) => Buffer.from(slice)) }),
    telemetry,
    traceOf: () => "",
    log: silentLog,
    signal,
  });
  const target = {
    application: applicationName("shop"),
    environment: environmentName("prod"),
    cluster: clusterId("eu-1"),
    revision: revision(commit),
  };
  await renders.render([target]);
  const [address] = [...(await broker.blobs())];
  renders.forgetBlob(address!);
  await broker.dropBlob(address!);
  expect(renders.outcome(target)).toBeUndefined();
  await renders.render([target]);
  expect(renders.outcome(target)).toMatchObject({ ok: true });
  expect(await broker.blobs()).toEqual(new Set([address]));
  await source.stop();
});
