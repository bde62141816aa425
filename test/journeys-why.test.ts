import { afterAll, beforeAll, expect, test } from "vitest";
import { kubeconfigAccess } from "#agent/cluster/access.ts";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { openKubernetes } from "#agent/cluster/kubernetes.ts";
import type { StatusRow, WhyAnswer } from "#proto/api.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { application, configMap, deployment, environment, namespace, yaml } from "#test/harness/manifests.ts";
import { startWorld, type World } from "#test/harness/world.ts";

// A hub, two agents, real controllers, a real scheduler and kwok's node: what breaks is asked about as people ask.
let plane: ControlPlane;
let world: World;
let people: Cluster;

beforeAll(async () => {
  plane = await startControlPlane({ nodes: true });
  world = await startWorld();
  people = openKubernetes(await kubeconfigAccess(plane.adminKubeconfig), { manager: "kubectl-edit" });
  await world.startHub();
  const environments = [environment("dev", { follow: "main" }), environment("prod", { promotedFrom: ["dev"] })];
  await world.git.commit("fleet", "main", { "fleet/environments.yaml": environments.join("---\n") }, "two stages");
  for (const stage of ["dev", "prod"]) {
    const answer = await world.register(`${stage}-1`, { env: stage });
    const kubeconfig = await plane.kubeconfig(`agent-${stage}`, ["system:masters"]);
    await world.join(`${stage}-1`, answer, kubeconfig, "--namespace", `agent-${stage}`);
  }
});
afterAll(async () => {
  await people?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
  await plane?.[Symbol.asyncDispose]();
});

const row = async (stage: string): Promise<StatusRow | undefined> =>
  (await world.status()).rows.find((row) => row.environment === stage && row.application === "shop");
const settled = (stage: string, revision: string): Promise<void> =>
  world.until(`shop to settle in ${stage}`, async () => {
    const found = await row(stage);
    return found?.settled === 1 && found.revisions[0]?.revision === revision;
  });
const files = (stage: string, image: string): Record<string, string> => ({
  [`apps/shop/${stage}/namespace.yaml`]: namespace(`shop-${stage}`),
  [`apps/shop/${stage}/web.yaml`]: deployment("web", image, 1).replace(
    "  name: web",
    `  name: web\n  namespace: shop-${stage}`,
  ),
});
const push = (images: Record<string, string>, subject: string): Promise<string> => {
  const changed = Object.entries(images).map(([stage, image]) => files(stage, image));
  const declared = application("shop", {
    path: "apps/shop/${environment}",
    namespace: "shop",
    environments: ["dev", "prod"],
  });
  return world.git.commit(
    "fleet",
    "main",
    Object.assign({ "fleet/shop.yaml": declared }, ...changed) as Record<string, string>,
    subject,
  );
};
const whyText = async (...words: string[]): Promise<string> => {
  const { code, stdout, stderr } = await world.plumb("why", ...words);
  expect([code, stderr]).toEqual([0, ""]);
  return stdout;
};

/** What is asked is told in these words, as soon as all that they are about was heard. */
async function tells(words: readonly string[], pattern: RegExp): Promise<string> {
  let text = "";
  const isTold = async (): Promise<boolean> => pattern.test((text = await whyText(...words)));
  await world.until(String(pattern), isTold).catch((error: unknown) => {
    expect(text).toMatch(pattern);
    throw error;
  });
  return text;
}
/** A hand edit; the controllers write this object too, and a version that is no more is no harm. */
async function scale(replicas: number): Promise<void> {
  const address = { apiVersion: "apps/v1", group: "apps", kind: "Deployment", namespace: "shop-dev", name: "web" };
  await world.until("the edit to be written", async () => {
    const there = (await people.get(address))!;
    await people.replace({ ...there, spec: { ...(there["spec"] as object), replicas } });
    return true;
  });
}
/** Whoever names no revision asks for what is proved: a moment after it is seen to be healthy. */
const proved = (stage: string, revision: string): Promise<void> =>
  world.until(`shop to be proved in ${stage}`, async () =>
    (await world.recorded(`record/${stage}/shop.yaml`)).includes(revision),
  );

let first: string;

test("a revision that nobody has promoted says so, and how to", async () => {
  first = await push({ dev: "web:1", prod: "web:1" }, "open the shop");
  await settled("dev", first);
  const text = await tells(["prod/shop"], /^\? shop on prod-1 is not run\n {2}gate +nothing is promoted to prod yet\n/);
  expect(text).toMatch(/\n {2}do +plumb promote prod shop\n$/);
  await tells(
    ["dev-1", "shop"],
    /^✔ shop \w{7} on dev-1 is Current for \d+[sm]\n  commit +\w{7} "open the shop" by .*\n  promotion +none is needed: dev follows branch main\n/,
  );
});

test("a bad image is told from the commit to the pod's own words, with the way back; the way back works", async () => {
  await proved("dev", first);
  await world.ask("promote", "prod", "shop", "--reason", "the first day");
  await settled("prod", first);
  // What was proved here is the way back.
  await proved("prod", first);
  const bad = await push({ prod: "unpullable.invalid/web:2" }, "a bigger shop");
  await world.until("the push to be seen", async () => (await world.status()).fleetCommit === bad);
  await world.ask("promote", "prod", "shop", bad, "--reason", "bigger is better");
  const short = bad.slice(0, 7);
  const lines = [
    `shop ${short} on prod-1 is InProgress for \\d+[sm]`,
    `  commit +${short} "a bigger shop" by .*, \\d+[sm] ago`,
    `  promotion +\\w{7} asked for ${short} by admin, \\d+[sm] ago: bigger is better`,
    "  gate +open: dev proved it by healthy receipts",
    "  digest +[0-9a-f]{12}, 2 objects, in the document of \\d+[sm] ago",
    "  applied +\\d+[sm] ago.*",
    "  health +Deployment shop-prod/web InProgress for \\d+[sm]: .*: pod web-\\w+-\\w+: container web: ImagePullBackOff: Back-off pulling image unpullable.invalid/web:2.*",
    "  next +the agent goes on watching.*",
    "  do +kubectl -n shop-prod describe deployment.apps web",
    ` +plumb promote prod shop ${first.slice(0, 7)}`,
  ];
  await tells(["prod/shop"], new RegExp(`^. ${lines.join("\n")}\n$`));

  const one = await world.ask<WhyAnswer>("why", "prod-1", "shop", "Deployment/shop-prod/web");
  expect(one).toMatchObject({
    environment: "prod",
    object: "Deployment shop-prod/web",
    health: "InProgress",
    revision: bad,
  });
  const [, back] = one.commands;
  expect((await world.plumb(...back!.split(" ").slice(1))).code).toBe(0);
  await settled("prod", first);
  await tells(["prod-1", "shop"], /next {7}nothing is waited for/);
});

test("a hand edit is told with its field and tool", async () => {
  await scale(3);
  const drift = /drift +Deployment shop-dev\/web: spec.replicas 1 → 3 by kubectl-edit, \d+[sm] ago: healed in \d+ ms/;
  await tells(["dev/shop"], drift);
  await tells(["dev-1", "shop", "web"], drift);
});

test("what an exception lets be, and what waits for another Application, say until when and for what", async () => {
  const until = new Date(Date.now() + 7_200_000).toISOString();
  const exception = yaml({
    apiVersion: "plumbline.dev/v1",
    kind: "DriftException",
    metadata: { name: "scale" },
    spec: {
      environment: "dev",
      application: "shop",
      object: "Deployment shop-dev/web",
      fields: ["spec.replicas"],
      until,
      reason: "a quiet day",
    },
  });
  // One document brings the exception and an image: where the image runs, the edit is not healed first, and is no fight.
  const both = { "fleet/scale.yaml": exception, ...files("dev", "web:2") };
  await settled("dev", await world.git.commit("fleet", "main", both, "an exception"));
  await scale(2);
  const letBe = "drift +Deployment shop-dev/web: spec.replicas 1 → 2 by kubectl-edit, .*: not healed: exception";
  // Said once the second Pod is well: until then that is what is waited for.
  const next = "next +its heal is tried in (?:2h|1h\\S*|119m) \\(exception: a quiet day\\)\n";
  await tells(["dev-1", "shop"], new RegExp(`${letBe}[^]*${next}`));

  const desk = application("desk", {
    path: "apps/desk",
    namespace: "shop-dev",
    environments: ["dev"],
    dependsOn: ["till"],
  });
  const till = application("till", { path: "apps/till", namespace: "shop-dev", environments: ["dev"] });
  const waiters = {
    "fleet/desk.yaml": desk,
    "fleet/till.yaml": till,
    "apps/desk/a.yaml": configMap("desk", {}),
    "apps/till/web.yaml": deployment("till", "unpullable.invalid/till:1", 1),
  };
  await world.git.commit("fleet", "main", waiters, "a desk that needs a till");
  await tells(
    ["dev-1", "desk"],
    /next +\w{7} is applied when this is no longer so: waits for till, which is InProgress.*; what runs is kept[^]*\n +do +plumb why dev-1 till\n$/,
  );
  const away = { "fleet/scale.yaml": null, "fleet/desk.yaml": null, "fleet/till.yaml": null };
  await world.git.commit("fleet", "main", away, "no more of this");
  await world.until("the end of the exception", async () => (await row("dev"))?.drifted === 0);
});

test("a rule of the fleet decides for every cluster, and a broken one is named by file, line and field", async () => {
  const rule = (current: string): string =>
    yaml({
      apiVersion: "plumbline.dev/v1",
      kind: "HealthRule",
      metadata: { name: "strict" },
      spec: { apiVersion: "v1", kind: "Namespace", current },
    });
  await world.git.commit("fleet", "main", { "fleet/strict.yaml": rule("has(object.metadata.labels.team)") }, "a rule");
  await tells(["dev-1", "shop"], /Namespace shop-dev Unknown.*HealthRule strict: no expression holds/);
  await world.git.commit("fleet", "main", { "fleet/strict.yaml": rule("object.metadata.") }, "a broken rule");
  await world.until("the problem to be told", async () =>
    (await world.status()).problems.some((line) =>
      /^fleet\/strict.yaml:\d+: spec.current is no rule in CEL/.test(line),
    ),
  );
  // What was signed stays in force.
  expect(await whyText("dev-1", "shop")).toContain("HealthRule strict: no expression holds");
  await world.git.commit("fleet", "main", { "fleet/strict.yaml": null }, "no rule");
  await world.until("all to be well", async () => (await row("dev"))?.settled === 1);
});

test("a cluster whose agent is gone is said to be silent; what is asked wrongly says what to ask", async () => {
  await world.agent("dev-1").kill("SIGKILL");
  const text = await tells(["dev-1", "shop"], /^\? shop \w{7} on dev-1 is Unknown: the cluster is Silent\n/);
  expect(text).toMatch(/agent +silent, last heard \d+[sm] ago; what follows is what it said \d+[sm] ago/);
  const wrong = await world.plumb("why", "dev-1", "shopp");
  expect([wrong.code, wrong.stderr]).toEqual([
    1,
    "plumb: there is no application shopp\n       plumb status shows those there are\n",
  ]);
});
