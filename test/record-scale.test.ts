import { generateKeyPairSync } from "node:crypto";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  clusterRecordPath,
  formatClusterRecord,
  formatRolloutRecord,
  rolloutRecordPath,
  type ClusterRecord,
  type RolloutRecord,
} from "#hub/decide/record.ts";
import { fleetLimits, TooLarge } from "#hub/git/contents.ts";
import { openMirror } from "#hub/git/mirror.ts";
import { createGitSigner } from "#hub/git/sign.ts";
import { openRecords, recordBranch } from "#hub/loop/records.ts";
import { systemClock } from "#lib/clock.ts";
import { silentLog } from "#lib/log.ts";
import { applicationName, clusterId, environmentName, revision } from "#proto/ids.ts";
import { startGitServer } from "#test/harness/git-server.ts";
import { cluster } from "#test/harness/manifests.ts";

const [clusters, applications, environments] = [10_000, 1_000, 10];

const keysOf = (name: string): ClusterRecord => ({
  cluster: clusterId(name),
  spki: Buffer.alloc(91, name).toString("base64"),
  nkey: `U${"A".repeat(55)}`,
  sealingKey: Buffer.alloc(32).toString("base64"),
  jti: "one",
  acceptedBy: "token",
  acceptedAtMs: 1,
  revoked: null,
});
const rolloutOf = (n: number): RolloutRecord => ({
  environment: environmentName(`env-${n % environments}`),
  application: applicationName(`app-${Math.floor(n / environments)}`),
  qualified: Array.from({ length: 5 }, (_, i) => revision(String(i).repeat(40))),
  completed: [revision("f".repeat(40))],
});

test("10,000 clusters and 10,000 Applications in their Environments have one record; a change to it costs what it changes", async () => {
  await using server = await startGitServer();
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-record-"));
  const url = await server.createRepository("fleet");
  const mirrorAt = (name: string) =>
    openMirror({
      url,
      directory: join(folder.path, name),
      searchPath: process.env["PATH"] ?? "",
      allowedHosts: new Set(["127.0.0.1"]),
    });
  const signer = createGitSigner(generateKeyPairSync("ed25519").privateKey);
  const rollouts = Array.from({ length: applications * environments }, (_, n) => rolloutOf(n));
  const bulk = await server.commit(
    "fleet",
    "bulk",
    Object.fromEntries([
      ...Array.from({ length: clusters }, (_, n) => keysOf(`c-${n}`)).map((record) => [
        clusterRecordPath(record.cluster),
        formatClusterRecord(record),
      ]),
      ...rollouts.map((record) => [rolloutRecordPath(record), formatRolloutRecord(record)]),
    ]) as Record<string, string>,
    "all of it",
  );
  const mirror = await mirrorAt("first.git");
  await mirror.fetch();
  // Signed as the hub signs: only then it is a record.
  const change = { branch: recordBranch, expect: undefined, content: revision(bulk), files: new Map() };
  await mirror.commit({ ...change, message: "record: all of it\n" }, signer, Date.now());

  const read: number[] = [];
  const counting: typeof mirror = {
    ...mirror,
    readAll: (files) => {
      read.push(files.length);
      return mirror.readAll(files);
    },
  };
  const fetch = async (): Promise<void> => void (await mirror.fetch());
  const records = openRecords({ mirror: counting, fetch }, signer, systemClock, silentLog);
  await records.load();
  expect([records.now().clusters.size, records.now().rollouts.length]).toEqual([clusters, rollouts.length]);

  expect(await records.accept(keysOf("one-more"))).toBe("recorded");
  const proved = { ...rollouts[0]!, qualified: [revision("a".repeat(40))] };
  records.note([proved, ...rollouts.slice(1, 100)], "now");
  await records.save();
  expect(read).toEqual([clusters + rollouts.length, 1, 1]);
  expect(records.now().rollouts).toContainEqual(proved);

  const another = await mirrorAt("second.git");
  await another.fetch();
  const anew = openRecords({ mirror: another, fetch }, signer, systemClock, silentLog);
  await anew.load();
  expect(anew.alarm()).toBe("");
  expect(anew.now().clusters.size).toBe(clusters + 1);
  expect(anew.now().clusters.get(clusterId("c-9999"))).toEqual(keysOf("c-9999"));
});

test("a fleet whose 10,000 Clusters lie in a file each, beside other documents, is read; an Application's folder is not", async () => {
  await using server = await startGitServer();
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-fleet-"));
  const mirror = await openMirror({
    url: await server.createRepository("fleet"),
    directory: join(folder.path, "fleet.git"),
    searchPath: process.env["PATH"] ?? "",
    allowedHosts: new Set(["127.0.0.1"]),
  });
  const files = Array.from({ length: clusters + 2_000 }, (_, n) => [
    `fleet/${n}.yaml`,
    cluster(`c-${n}`, { env: "prod" }),
  ]);
  const commit = revision(
    await server.commit("fleet", "main", Object.fromEntries(files) as Record<string, string>, "many"),
  );
  await mirror.fetch();
  expect(await mirror.contents(commit, "fleet", undefined, fleetLimits)).toHaveLength(clusters + 2_000);
  await expect(mirror.contents(commit, "fleet")).rejects.toThrow(TooLarge);
});
