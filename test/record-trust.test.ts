import { generateKeyPairSync } from "node:crypto";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { formatClusterRecord, type ClusterRecord, type RolloutRecord } from "#hub/decide/record.ts";
import { openMirror, type Mirror } from "#hub/git/mirror.ts";
import { createGitSigner } from "#hub/git/sign.ts";
import { openRecords, recordBranch, type RecordStore } from "#hub/loop/records.ts";
import { systemClock } from "#lib/clock.ts";
import { silentLog } from "#lib/log.ts";
import { applicationName, clusterId, environmentName, revision } from "#proto/ids.ts";
import { startGitServer, type GitServer } from "#test/harness/git-server.ts";

const signer = createGitSigner(generateKeyPairSync("ed25519").privateKey);
const recordOf = (cluster: string, acceptedBy = "token"): ClusterRecord => ({
  cluster: clusterId(cluster),
  spki: "QUFB",
  nkey: `U${"A".repeat(55)}`,
  sealingKey: Buffer.alloc(32).toString("base64"),
  jti: "one",
  acceptedBy,
  acceptedAtMs: 1,
  revoked: null,
});

let server: GitServer;
let folder: Awaited<ReturnType<typeof mkdtempDisposable>>;
let url: string;
beforeEach(async () => {
  server = await startGitServer();
  folder = await mkdtempDisposable(join(tmpdir(), "plumbline-record-"));
  url = await server.createRepository("fleet");
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

type Hub = RecordStore & { look(): Promise<void> };

/** A hub's records, on a mirror that another may have used before. `reads`: awaited before a history is looked through. */
async function hub(mirrorName = "fleet.git", reads: () => Promise<void> = () => Promise.resolve()): Promise<Hub> {
  const opened = await openMirror({
    url,
    directory: join(folder.path, mirrorName),
    searchPath: process.env["PATH"] ?? "",
    allowedHosts: new Set(["127.0.0.1"]),
  });
  const mirror: Mirror = {
    ...opened,
    async newestWanted(...wanted) {
      await reads();
      return opened.newestWanted(...wanted);
    },
  };
  const fetch = async (): Promise<void> => void (await mirror.fetch());
  const records = openRecords({ mirror, fetch }, signer, systemClock, silentLog);
  const look = async (): Promise<void> => {
    await fetch();
    await records.load();
  };
  await look();
  return { ...records, look };
}
const clustersOf = (records: RecordStore): string[] => [...records.now().clusters.keys()].sort();
const onRemote = (): Promise<string> => server.git("fleet", ["ls-tree", "-r", "--name-only", recordBranch]);

test("keys that somebody else pushed to the record let nobody in, also on a hub that starts anew", async () => {
  const records = await hub();
  await records.accept(recordOf("eu-1"));
  const forged = {
    "clusters/evil-1.yaml": formatClusterRecord(recordOf("evil-1")),
    "clusters/eu-1.yaml": formatClusterRecord(recordOf("eu-1", "evil")),
  };
  await server.commit("fleet", recordBranch, forged, "record: evil-1 joined");
  await records.look();
  for (const seen of [records, await hub("another.git")]) {
    expect(clustersOf(seen)).toEqual(["eu-1"]);
    expect(seen.now().clusters.get(clusterId("eu-1"))?.acceptedBy).toBe("token");
    expect(seen.alarm()).toMatch(/which this hub did not write: [0-9a-f]{7} is believed instead/);
  }
  // The next decision is written on top of theirs, and undoes it.
  await records.accept(recordOf("eu-2"));
  expect(await onRemote()).toBe("clusters/eu-1.yaml\nclusters/eu-2.yaml");
  expect(await server.git("fleet", ["log", "--format=%s", recordBranch])).toContain("record: evil-1 joined");
  expect(records.alarm()).toBe("");
  expect(clustersOf(await hub("third.git"))).toEqual(["eu-1", "eu-2"]);
});

test("what is written while the record is being read takes no other hub's word away, and is not forgotten", async () => {
  const atOnce = (): Promise<void> => Promise.resolve();
  let reads = atOnce;
  const records = await hub("fleet.git", () => reads());
  await records.accept(recordOf("eu-1"));
  const other = await hub("another.git");
  await other.accept(recordOf("eu-2"));
  const [begun, slow] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  reads = () => {
    reads = atOnce;
    begun.resolve();
    return slow.promise;
  };
  const looked = records.look();
  await begun.promise;
  const accepted = records.accept(recordOf("eu-3"));
  // Whoever does not wait for the one that reads has written by then.
  await Promise.race([accepted, sleep(1_000)]);
  slow.resolve();
  await Promise.all([looked, accepted]);
  expect(clustersOf(records)).toEqual(["eu-1", "eu-2", "eu-3"]);
  expect(await onRemote()).toBe("clusters/eu-1.yaml\nclusters/eu-2.yaml\nclusters/eu-3.yaml");
});

test("a record that nobody of ours began is not believed at all", async () => {
  const forged = { "clusters/evil-1.yaml": formatClusterRecord(recordOf("evil-1")) };
  await server.commit("fleet", recordBranch, forged, "record: evil-1 joined");
  const records = await hub();
  expect(clustersOf(records)).toEqual([]);
  expect(records.alarm()).toMatch(/none of it is believed/);
  await records.accept(recordOf("eu-1"));
  expect(await onRemote()).toBe("clusters/eu-1.yaml");
});

/** On the remote: a commit of nobody's with this tree and these parents, as the head of the record. */
async function pushMerge(tree: string, parents: readonly string[]): Promise<void> {
  const merged = ["commit-tree", `${tree}^{tree}`, ...parents.flatMap((parent) => ["-p", parent]), "-m", "merge"];
  await server.git("fleet", ["branch", "-f", recordBranch, await server.git("fleet", merged)]);
}

/** What somebody put on main, and a commit of the hub's own on top of it, as each registration is one. */
async function signedOnMain(files: Readonly<Record<string, string>>): Promise<string> {
  const theirs = await server.commit("fleet", "main", files, "an honest change");
  const mirror = await openMirror({
    url,
    directory: join(folder.path, "main.git"),
    searchPath: process.env["PATH"] ?? "",
    allowedHosts: new Set(["127.0.0.1"]),
  });
  await mirror.fetch();
  const change = { branch: "main", expect: revision(theirs), files: new Map([["fleet/a.yaml", "a\n"]]) };
  const pushed = await mirror.commit({ ...change, message: "register eu-9" }, signer, systemClock.now());
  if (pushed.kind !== "pushed") throw new Error(pushed.kind);
  return pushed.commit;
}

test("what the hub signed on main is no record, whoever puts it there or merges it in", async () => {
  const records = await hub();
  await records.accept(recordOf("eu-1"));
  const before = await server.git("fleet", ["rev-parse", recordBranch]);
  const signed = await signedOnMain({ "clusters/evil-1.yaml": formatClusterRecord(recordOf("evil-1")) });
  await pushMerge(signed, [signed, before]);
  await records.look();
  for (const seen of [records, await hub("another.git")]) expect(clustersOf(seen)).toEqual(["eu-1"]);
  await server.git("fleet", ["branch", "-f", recordBranch, signed]);
  const anew = await hub("third.git");
  expect(clustersOf(anew)).toEqual([]);
  expect(anew.alarm()).toMatch(/none of it is believed/);
});

test("an older record that is merged in before the newest un-revokes nobody", async () => {
  const records = await hub();
  await records.accept(recordOf("eu-1"));
  const before = await server.git("fleet", ["rev-parse", recordBranch]);
  await records.revoke(clusterId("eu-1"), "stolen");
  const newest = await server.git("fleet", ["rev-parse", recordBranch]);
  await pushMerge(before, [before, newest]);
  await records.look();
  for (const seen of [records, await hub("another.git")])
    expect(seen.now().clusters.get(clusterId("eu-1"))?.revoked?.because).toBe("stolen");
});

test.each([
  ["goes back", async (before: string) => void (await server.git("fleet", ["branch", "-f", recordBranch, before]))],
  ["is deleted", async () => void (await server.git("fleet", ["branch", "-D", recordBranch]))],
])("a record branch that %s gives no revoked cluster its keys again", async (_what, meddle) => {
  const records = await hub();
  await records.accept(recordOf("eu-1"));
  const before = await server.git("fleet", ["rev-parse", recordBranch]);
  await records.revoke(clusterId("eu-1"), "stolen");
  await meddle(before);
  await records.look();
  expect(records.now().clusters.get(clusterId("eu-1"))?.revoked?.because).toBe("stolen");
  expect(records.alarm()).not.toBe("");
  await records.accept(recordOf("eu-2"));
  await records.look();
  expect(records.alarm()).toBe("");
  const anew = await hub("another.git");
  expect(anew.now().clusters.get(clusterId("eu-1"))?.revoked?.because).toBe("stolen");
  expect(clustersOf(anew)).toEqual(["eu-1", "eu-2"]);
});

test("what receipts proved counts at once, and is written in one commit when it is due", async () => {
  const records = await hub();
  const rollouts = Array.from({ length: 500 }, (_, n) => ({
    environment: environmentName("dev"),
    application: applicationName(`app-${n}`),
    qualified: [],
    completed: [revision(n.toString(16).padStart(40, "0"))],
  }));
  const inOrder = (all: readonly RolloutRecord[]): RolloutRecord[] =>
    all.toSorted((a, b) => a.application.localeCompare(b.application));
  records.note(rollouts, "soon");
  await records.save();
  expect(records.now().rollouts).toHaveLength(500);
  await expect(onRemote()).rejects.toThrow();
  await records.save(new Set([applicationName("app-7")]));
  expect(await onRemote()).toBe("record/dev/app-7.yaml");
  records.note(rollouts, "now");
  await records.save();
  expect(await server.git("fleet", ["rev-list", "--count", recordBranch])).toBe("2");
  for (const seen of [records, await hub("another.git")])
    expect(inOrder(seen.now().rollouts)).toEqual(inOrder(rollouts));
});
