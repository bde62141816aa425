import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createKeys, publicKeysOf } from "#agent/enrol/join.ts";
import { clusterRecordPath, formatClusterRecord } from "#hub/decide/record.ts";
import { openMirror } from "#hub/git/mirror.ts";
import { createGitSigner } from "#hub/git/sign.ts";
import { requestedKey } from "#hub/identity/authority.ts";
import { loadIdentity, type Identity } from "#hub/identity/identity.ts";
import { recordBranch } from "#hub/loop/records.ts";
import { signDesiredState } from "#proto/envelope.ts";
import { clusterId, revision, type ClusterId } from "#proto/ids.ts";
import type { BareAgent, BareAgents } from "#test/bench/bare-agents.ts";
import { figure, type BenchResult } from "#test/bench/figures.ts";
import { cpuMsOf, rssKbOf } from "#test/harness/process-usage.ts";
import { startProcess } from "#test/harness/process.ts";
import { startWorld, type World } from "#test/harness/world.ts";

const program = fileURLToPath(new URL("./bare-agents.ts", import.meta.url));
/** For what follows a session's begin: statuses kept, a decision made. */
const restMs = 5_000;
const lookEveryMs = 200;

/** A hub that starts again, and a fleet that returns to it: what one session costs the hub, and how long others wait. */
export async function sessions(quick: boolean): Promise<Pick<BenchResult, "runs" | "figures">> {
  const agents = quick ? 300 : 1_000;
  await using world = await startWorld();
  const fleet = await enrolAll(world, agents);
  await world.startHub();
  const file = join(world.folder, "agents.json");
  await writeFile(file, JSON.stringify({ ...fleet, hub: await grpcAddress(world) } satisfies BareAgents));
  // Once before: the broker has every document and status then, as it has when a hub starts again.
  {
    await using first = startProcess(process.execPath, [program, file]);
    await world.until(`${agents} first sessions`, async () => (await metrics(world)).sessions === agents);
    await new Promise((resolve) => setTimeout(resolve, restMs));
    await first.kill("SIGTERM");
  }
  await world.stopHub();
  await world.startHub();
  const hub = world.hub().pid;
  await new Promise((resolve) => setTimeout(resolve, restMs));
  const before = { rssKb: await rssKbOf(hub), cpuMs: await cpuMsOf(hub) };
  await metrics(world);
  await using running = startProcess(process.execPath, [program, file]);
  let delays: number[] = [];
  await world.until(`${agents} sessions`, async () => {
    const read = await metrics(world);
    delays.push(read.delayMs);
    if (read.sessions === agents) return true;
    // Each look is a request that the hub answers from the whole fleet: that is no cost of a session.
    await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
    return false;
  });
  await new Promise((resolve) => setTimeout(resolve, restMs));
  delays = [...delays, (await metrics(world)).delayMs];
  const after = { rssKb: await rssKbOf(hub), cpuMs: await cpuMsOf(hub) };
  await running.kill("SIGTERM");
  return {
    runs: agents,
    figures: {
      rssKbPerAgent: figure([(after.rssKb - before.rssKb) / agents], "KB", 120),
      cpuMsPerAgent: figure([(after.cpuMs - before.cpuMs) / agents], "ms of CPU", 2.5),
      eventLoopP99Ms: figure([Math.max(...delays)], "ms", 50),
    },
  };
}

/** Declares the clusters, and puts keys of their own on record, as enrolling each would. */
async function enrolAll(world: World, count: number): Promise<Omit<BareAgents, "hub">> {
  const identity = await loadIdentity(join(world.folder, "identity", "identity.json"));
  const names = Array.from({ length: count }, (_, n) => clusterId(`member-${n}`));
  const declared = names.map(
    (name) => `apiVersion: plumbline.dev/v1\nkind: Cluster\nmetadata: {name: ${name}, labels: {env: dev}}\n`,
  );
  await world.git.commit("fleet", "main", { "fleet/clusters.yaml": declared.join("---\n") }, "a fleet");
  const made = await Promise.all(names.map((name) => memberOf(name, identity)));
  const mirror = await openMirror({
    url: world.fleetUrl,
    directory: join(world.folder, "bench.git"),
    searchPath: process.env["PATH"] ?? "",
    allowedHosts: new Set(["127.0.0.1"]),
  });
  const files = new Map(made.map(({ record }) => [clusterRecordPath(record.cluster), formatClusterRecord(record)]));
  const change = { branch: recordBranch, expect: undefined, files, message: "record: a fleet joined" };
  await mirror.commit(change, createGitSigner(identity.gitKey), Date.now());
  return { caPem: identity.authority.certificatePem, agents: made.map(({ agent }) => agent) };
}

async function memberOf(cluster: ClusterId, identity: Identity) {
  const keys = await createKeys("");
  const { nkey, sealingKey } = publicKeysOf(keys);
  const state = {
    cluster,
    epoch: identity.epoch,
    generation: 1n,
    fleetCommit: revision("0".repeat(40)),
    recordCommit: "" as const,
    issuedAtMs: Date.now(),
    entries: [],
    healthRules: [],
  };
  const record = {
    cluster,
    spki: await requestedKey(keys.csrPem),
    nkey,
    sealingKey: sealingKey.toString("base64"),
    jti: randomBytes(8).toString("hex"),
    acceptedBy: "bench",
    acceptedAtMs: Date.now(),
    revoked: null,
  };
  const agent: BareAgent = {
    cluster,
    certificatePem: (await identity.authority.issueClient(keys.csrPem, cluster, Date.now())).certificatePem,
    tlsKeyPem: keys.tlsKeyPem,
    envelope: Buffer.from(signDesiredState(state, identity.documentSigner)).toString("base64"),
  };
  return { record, agent };
}

async function metrics(world: World): Promise<{ sessions: number; delayMs: number }> {
  const text = await (await world.request("/api/v1/metrics")).text();
  const read = (pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? NaN);
  return {
    sessions: read(/^plumbline_sessions (\d+)/m),
    delayMs: read(/^plumbline_event_loop_delay\w*\{quantile="0.99"\} ([\d.e-]+)/m) * 1_000,
  };
}

/** Where agents connect, as the hub says it in its join lines. */
async function grpcAddress(world: World): Promise<string> {
  const { joinCommand } = await world.register("joiner", { env: "none" });
  return /--hub (\S+)/.exec(joinCommand)![1]!;
}
