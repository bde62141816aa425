import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readFleet } from "#hub/fleet/read.ts";
import { DesiredStates } from "#hub/loop/desired.ts";
import { createEvidence } from "#hub/loop/evidence.ts";
import type { Records } from "#hub/loop/records.ts";
import { openSource } from "#hub/loop/sources.ts";
import { signDesiredState } from "#proto/envelope.ts";
import { clusterId, revision, type Revision } from "#proto/ids.ts";
import { startGitServer } from "#test/harness/git-server.ts";
import { createHubKeys } from "#test/harness/hub-keys.ts";
import { sourceOptions } from "#test/harness/source-options.ts";

const eu = clusterId("eu-1");
const joined = {
  cluster: eu,
  spki: "",
  nkey: "",
  sealingKey: "",
  jti: "",
  acceptedBy: "",
  acceptedAtMs: 0,
  revoked: null,
};

test("a mirror is not trusted before it is written down what an accepted rewrite left behind", async () => {
  await using started = new AsyncDisposableStack();
  const folder = started.use(await mkdtempDisposable(join(tmpdir(), "plumbline-evidence-")));
  const git = started.use(await startGitServer());
  const over = new AbortController();
  const url = await git.createRepository("fleet");
  const commit = async (text: string): Promise<Revision> => revision(await git.commit("fleet", "main", { text }, text));
  const base = await commit("base");
  const old = await commit("old");
  await git.git("fleet", ["update-ref", "refs/heads/main", base]);
  const to = await commit("accepted");
  const open = async () => {
    const source = await openSource(
      { name: "fleet", url, remote: {}, follows: () => ["main"] },
      sourceOptions(folder.path, over.signal),
    );
    started.defer(() => source.stop());
    await source.following.look();
    return source;
  };
  const source = await open();
  // A cluster that was heard after people had said so: its document is of before.
  const keys = createHubKeys();
  const desired = new DesiredStates(keys);
  const state = {
    cluster: eu,
    epoch: 1,
    generation: 1n,
    fleetCommit: old,
    recordCommit: "" as const,
    issuedAtMs: 1,
    entries: [],
    healthRules: [],
  };
  desired.learn(eu, signDesiredState(state, keys.documentSigner));
  const word = { branch: "main", from: base, to, dropped: [] as Revision[], by: "anna", reason: "", atMs: 2 };
  const records: Records = {
    commit: "",
    clusters: new Map([[eu, joined]]),
    rollouts: [],
    rewrites: [{ repository: "fleet", accepted: [word] }],
    charts: new Map(),
  };
  const written: Revision[] = [];
  const evidence = createEvidence({
    fleetSource: source,
    branch: "main",
    sources: () => [source],
    sourceOf: () => source,
    desired,
    records: {
      now: () => records,
      leaveBehind: async (_repository, _branch, commits) => {
        written.push(...commits);
        word.dropped.push(...commits);
      },
    },
  });
  const { fleet } = readFleet([]);
  await evidence.judge(fleet);
  expect(source.stops()).toEqual([]);
  // A hub that is killed here must look again.
  expect([source.mirror.isYoung(), written]).toEqual([true, []]);
  await evidence.save();
  expect(written).toEqual([old]);
  await evidence.judge(fleet);
  expect(source.mirror.isYoung()).toBe(false);
  over.abort(new Error("the test is over"));
});
