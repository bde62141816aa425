import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { kubeconfigAccess } from "#agent/cluster/access.ts";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { openKubernetes } from "#agent/cluster/kubernetes.ts";
import type { StatusRow } from "#proto/api.ts";
import { isOfJournal } from "#test/harness/audit-log.ts";
import { application, configMap, environment, namespace, yaml } from "#test/harness/manifests.ts";
import { openSharedControlPlane, type SharedControlPlane } from "#test/harness/shared-control-plane.ts";
import { startWorld, type World } from "#test/harness/world.ts";

let plane: SharedControlPlane;
let world: World;
let people: Cluster;
const started = new AsyncDisposableStack();
beforeAll(async () => {
  plane = started.use(await openSharedControlPlane());
  world = started.use(await startWorld());
  people = started.use(
    openKubernetes(await kubeconfigAccess(await plane.kubeconfig("rewrite-people", ["system:masters"])), {
      manager: "people",
    }),
  );
  const shopUrl = await world.git.createRepository("shop");
  await world.startHub();
  await world.git.commit("shop", "main", shopFiles("one"), "one");
  const webhookSecret = { file: join(world.folder, "webhook-secret") };
  await world.git.commit(
    "fleet",
    "main",
    {
      "fleet/rewrite.yaml": environment("rewrite", { follow: "main" }),
      "fleet/shop.yaml": [
        yaml({
          apiVersion: "plumbline.dev/v1",
          kind: "Repository",
          metadata: { name: "shop" },
          spec: { url: shopUrl, webhookSecret },
        }),
        app("shop", "deploy", "shop"),
      ].join("---\n"),
      "fleet/local.yaml": app("local", "apps/local"),
      ...localFiles("one"),
    },
    "an application of its own repository, and one of the fleet's",
  );
  const answer = await world.register("rewrite-1", { env: "rewrite" });
  const kubeconfig = await plane.kubeconfig("rewrite-agent", ["system:masters"]);
  await world.join("rewrite-1", answer, kubeconfig, "--namespace", "plumbline-agent-rewrite");
});
afterAll(() => started.disposeAsync());

const app = (name: string, path: string, repository?: string): string =>
  application(name, {
    path,
    namespace: `rewrite-${name}`,
    environments: ["rewrite"],
    ...(repository && { repository }),
  });
const manifests = (name: string, level: string): string =>
  `${namespace(`rewrite-${name}`)}---\n${configMap("settings", { level })}`;
const shopFiles = (level: string) => ({ "deploy/all.yaml": manifests("shop", level) });
const localFiles = (level: string) => ({ "apps/local/all.yaml": manifests("local", level) });

const levelOf = async (name: string): Promise<unknown> => {
  const place = { apiVersion: "v1", group: "", kind: "ConfigMap", namespace: `rewrite-${name}`, name: "settings" };
  return ((await people.get(place))?.["data"] as { level?: string } | undefined)?.level;
};
const row = async (name: string): Promise<StatusRow | undefined> =>
  (await world.status()).rows.find(({ application }) => application === name);
const reasons = async (name: string): Promise<string> => (await row(name))?.reasons.join("\n") ?? "";
/** Of the newest commit, and written down as applied: what the hub knew of the one before says nothing. */
async function becomes(name: "shop" | "local", level: string): Promise<void> {
  const head = await world.git.git(name === "shop" ? "shop" : "fleet", ["rev-parse", "main"]);
  await world.until(`${name} to be ${level}`, async () => {
    const { settled, clusters, revisions } = (await row(name))!;
    const isNewest = revisions.length === 1 && revisions[0]!.revision === head;
    return isNewest && settled === clusters && clusters === 1 && (await levelOf(name)) === level;
  });
}
const says = (name: string, text: string): Promise<void> =>
  world.until(`${name} to say ${text}`, async () => (await reasons(name)).includes(text));
/** Of the agent, but for its journal: a hub may be rebuilt before it has heard the last receipt. */
const writes = async (): Promise<number> =>
  (await plane.requests()).filter(
    (request) =>
      request.user === "rewrite-agent" && !["get", "list", "watch"].includes(request.verb) && !isOfJournal(request),
  ).length;
/** Another history with the files that the branch holds now, or with those that are given. */
async function rewrite(repository: string, files: Record<string, string>): Promise<string> {
  const { git } = world;
  const root = await git.git(repository, ["commit-tree", "main^{tree}", "-m", "another beginning"]);
  await git.git(repository, ["update-ref", "refs/heads/main", root]);
  return await git.commit(repository, "main", files, "rewritten");
}
const rebuildHub = async (): Promise<void> => {
  await world.stopHub();
  await world.deleteData();
  await world.startHub();
  await world.until("the agent to be back", async () => {
    const clusters = await world.ask<{ state: string }[]>("cluster", "list");
    return clusters.every(({ state }) => state === "Connected");
  });
};

test("a rewritten branch stops what follows it and nothing else, also for a hub that lost everything, until it is accepted", async () => {
  await becomes("shop", "one");
  await becomes("local", "one");
  const before = await writes();
  const other = await rewrite("shop", shopFiles("evil"));
  await says("shop", "HistoryRewritten: branch main of shop");
  expect((await world.plumb("status")).stdout).toContain("HistoryRewritten: branch main of shop");
  expect(await writes()).toBe(before);
  await world.git.commit("fleet", "main", localFiles("two"), "goes on");
  await becomes("local", "two");

  const settled = await writes();
  await rebuildHub();
  await says("shop", "HistoryRewritten: branch main of shop");
  expect(await reasons("shop")).toContain("which clusters were given");
  expect([await levelOf("shop"), await writes()]).toEqual(["one", settled]);

  const wrong = await world.plumb("accept-rewrite", "shop", "main", "--to", "0000000");
  expect([wrong.code, wrong.stderr]).toEqual([3, expect.stringContaining("not at 0000000")]);
  const answer = await world.ask(
    "accept-rewrite",
    "shop",
    "--to",
    other.slice(0, 12),
    "--reason",
    "a secret was taken out",
  );
  expect(answer).toMatchObject({ branch: "main", to: other, file: "rewrites/shop.yaml" });
  await becomes("shop", "evil");
  expect(await reasons("shop")).toBe("");
  const record = await world.recorded("rewrites/shop.yaml");
  expect(record).toContain("by: admin");
  expect(record).toContain("reason: a secret was taken out");

  await rebuildHub();
  await world.git.commit("shop", "main", shopFiles("three"), "goes on");
  await becomes("shop", "three");
});

test("a branch that went back or is gone leaves everything as it is, and goes on by itself when it is pushed again", async () => {
  const { git } = world;
  const good = await git.git("shop", ["rev-parse", "main"]);
  const before = await writes();
  await git.git("shop", ["update-ref", "refs/heads/main", `${good}~1`]);
  await git.onPush("shop");
  await says("shop", "Rewound: branch main of shop");
  await git.git("shop", ["update-ref", "-d", "refs/heads/main"]);
  await git.onPush("shop");
  await says("shop", "Deleted: branch main of shop is gone");
  const refused = await world.plumb("accept-rewrite", "shop");
  expect([refused.code, refused.stderr]).toEqual([
    3,
    expect.stringContaining(`git push REMOTE ${good}:refs/heads/main`),
  ]);
  await rebuildHub();
  await says("shop", "branch main of shop is not known");
  expect([await levelOf("shop"), await writes()]).toEqual(["three", before]);
  await git.git("shop", ["update-ref", "refs/heads/main", good]);
  await git.commit("shop", "main", shopFiles("four"), "goes on");
  await becomes("shop", "four");
});

test("a rewound branch is a rollback once it is accepted", async () => {
  const { git } = world;
  await git.git("shop", ["update-ref", "refs/heads/main", "refs/heads/main~1"]);
  await git.onPush("shop");
  await says("shop", "Rewound: branch main of shop");
  await world.ask("accept-rewrite", "shop", "main");
  await becomes("shop", "three");
});

test("a rewritten fleet changes nothing, takes no commit of the hub's, and stops a hub that starts anew", async () => {
  const { git } = world;
  const before = await writes();
  await rewrite("fleet", localFiles("evil"));
  await says("local", "HistoryRewritten: branch main of fleet");
  const refused = await world.plumb("cluster", "register", "other-1", "-l", "env=rewrite");
  expect([refused.code, refused.stderr]).toEqual([3, expect.stringContaining("plumb accept-rewrite fleet main")]);
  await rebuildHub();
  await says("local", "HistoryRewritten: branch main of fleet");
  await says("shop", "HistoryRewritten: branch main of fleet");
  await git.commit("shop", "main", shopFiles("five"), "not now");
  expect([await levelOf("shop"), await levelOf("local"), await writes()]).toEqual(["three", "two", before]);
  await world.ask("accept-rewrite", "fleet", "main");
  await becomes("local", "evil");
  await becomes("shop", "five");
  await world.stopHub();
  await world.startHub();
  await git.commit("fleet", "main", localFiles("six"), "goes on");
  await becomes("local", "six");
});
