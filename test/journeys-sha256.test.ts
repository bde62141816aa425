import { afterAll, beforeAll, expect, test } from "vitest";
import { recordBranch } from "#hub/loop/records.ts";
import { application, configMap, environment, namespace } from "#test/harness/manifests.ts";
import { startWorld, type World } from "#test/harness/world.ts";
import { joinSimulated, type Member } from "#test/hostile/member.ts";

// A fleet whose repository names its commits by SHA-256: followed, written to, promoted in, found again, rewritten.
let started: AsyncDisposableStack;
let world: World;
let dev: Member;
let prod: Member;
beforeAll(async () => {
  await using stack = new AsyncDisposableStack();
  world = stack.use(await startWorld({ objectFormat: "sha256" }));
  const documents = {
    "fleet/dev.yaml": environment("dev", { follow: "main" }),
    "fleet/prod.yaml": environment("prod", { promotedFrom: ["dev"] }),
    "fleet/web.yaml": application("web", { path: "web", namespace: "web", environments: ["dev", "prod"] }),
  };
  await world.git.commit("fleet", "main", { ...documents, ...files("first") }, "first");
  await world.startHub();
  dev = stack.use(await joinSimulated(world, "dev-1", { env: "dev" }));
  prod = stack.use(await joinSimulated(world, "prod-1", { env: "prod" }));
  started = stack.move();
});
afterAll(() => started?.disposeAsync());

const files = (level: string): Record<string, string> => ({
  "web/namespace.yaml": namespace("web"),
  "web/settings.yaml": configMap("settings", { level }),
});
const settings = { apiVersion: "v1", group: "", kind: "ConfigMap", namespace: "web", name: "settings" };
const until = (member: Member, level: string): Promise<void> =>
  world.until(`${level} on a cluster`, () =>
    Promise.resolve((member.cluster.get(settings)?.["data"] as { level?: string } | undefined)?.level === level),
  );
const head = (branch = "main"): Promise<string> => world.git.git("fleet", ["rev-parse", branch]);
const promote = async (): Promise<void> => {
  const ran = await world.plumb("promote", "prod", "web", "--wait");
  expect([ran.code, ran.stderr]).toEqual([0, expect.any(String) as string]);
};

test("a revision is run, promoted and put on record, by commits that the hub signs and git verifies", async () => {
  await until(dev, "first");
  await promote();
  await until(prod, "first");
  expect(await head()).toHaveLength(64);
  for (const branch of ["main", recordBranch]) {
    const text = await world.git.git("fleet", ["cat-file", "commit", branch]);
    expect(text).toMatch(/^gpgsig-sha256 -----BEGIN SSH SIGNATURE-----$/m);
    expect(text).not.toMatch(/^gpgsig -----/m);
  }
  const why = await world.plumb("why", "prod/web", "prod-1");
  expect(why.stdout).toMatch(/promotion .* by admin/);
});

test("a Repository of SHA-1 is followed beside it", async () => {
  const url = await world.git.createRepository("side");
  await world.git.commit("side", "main", { "web/side.yaml": configMap("side", { level: "side" }) }, "side");
  const declared = {
    "fleet/side.yaml": `apiVersion: plumbline.dev/v1\nkind: Repository\nmetadata: {name: side}\nspec: {url: "${url}"}\n`,
    "fleet/side-app.yaml": application("side", {
      path: "web",
      namespace: "web",
      environments: ["dev"],
      repository: "side",
    }),
  };
  await world.git.commit("fleet", "main", declared, "another repository");
  await world.until("the other's object", () =>
    Promise.resolve(dev.cluster.get({ ...settings, name: "side" }) !== undefined),
  );
});

test("a hub that lost its data knows the same history again, and a rewrite of it", async () => {
  await world.stopHub();
  await world.deleteData();
  await world.startHub();
  const second = await world.git.commit("fleet", "main", files("second"), "second");
  await until(dev, "second");
  await promote();
  await until(prod, "second");
  await world.stopHub();
  await world.deleteData();
  await prod.stop();
  // Another history than either cluster was given: what one of them names is not in it.
  const from = await world.git.git("fleet", ["rev-parse", `${second}~1`]);
  await world.git.git("fleet", ["update-ref", "refs/heads/main", from]);
  await world.git.commit("fleet", "main", { "web/settings.yaml": configMap("settings", { level: "third" }) }, "third");
  await world.startHub();
  await world.until("the alarm", async () => /main of fleet/.test((await world.status()).alarms.join()));
  expect((dev.cluster.get(settings)!["data"] as { level: string }).level).toBe("second");
  const accepted = await world.plumb("accept-rewrite", "fleet", "main", "--reason", "a test");
  expect([accepted.code, accepted.stderr]).toEqual([0, expect.any(String) as string]);
  await until(dev, "third");
  // What prod was given was left behind by the same word, though nobody had heard it then.
  await prod.start();
  await world.until("prod to be heard", async () => (await world.status()).heard === 2);
  await world.git.commit(
    "fleet",
    "main",
    { "web/settings.yaml": configMap("settings", { level: "fourth" }) },
    "fourth",
  );
  await until(dev, "fourth");
  expect((await world.status()).alarms).toEqual([]);
});
