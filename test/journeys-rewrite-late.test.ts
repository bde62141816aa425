import { afterAll, beforeAll, expect, test } from "vitest";
import { application, configMap, environment, namespace } from "#test/harness/manifests.ts";
import { startWorld, type World } from "#test/harness/world.ts";
import { joinSimulated, type Member } from "#test/hostile/member.ts";

// A hub that lost its data, and a rewrite that is accepted before one of the clusters was heard again.
let started: AsyncDisposableStack;
let world: World;
let first: Member;
let second: Member;
beforeAll(async () => {
  await using stack = new AsyncDisposableStack();
  world = stack.use(await startWorld());
  await commit("one", {
    "fleet/dev.yaml": environment("dev", { follow: "main" }),
    "fleet/web.yaml": application("web", { path: "web", namespace: "web", environments: ["dev"] }),
    "web/namespace.yaml": namespace("web"),
  });
  await world.startHub();
  first = stack.use(await joinSimulated(world, "dev-1", { env: "dev" }));
  second = stack.use(await joinSimulated(world, "dev-2", { env: "dev" }));
  started = stack.move();
});
afterAll(() => started?.disposeAsync());

const commit = (level: string, more: Record<string, string> = {}): Promise<string> =>
  world.git.commit("fleet", "main", { ...more, "web/settings.yaml": configMap("settings", { level }) }, level);
const settings = { apiVersion: "v1", group: "", kind: "ConfigMap", namespace: "web", name: "settings" };
const levelOf = (member: Member): string | undefined =>
  (member.cluster.get(settings)?.["data"] as { level?: string } | undefined)?.level;
const until = (member: Member, level: string): Promise<void> =>
  world.until(`${level} on a cluster`, () => Promise.resolve(levelOf(member) === level));
const completes = (revision: string): Promise<void> =>
  world.until(`${revision} to be completed last`, async () =>
    (await world.recorded("record/dev/web.yaml")).endsWith(revision),
  );
const heard = (clusters: number): Promise<void> =>
  world.until(`${clusters} clusters to be heard`, async () => (await world.status()).heard === clusters);

test("what was accepted holds for what a cluster ran that was heard later, also once the record says that it ran", async () => {
  const base = await world.git.git("fleet", ["rev-parse", "main"]);
  const two = await commit("two");
  await until(first, "two");
  await until(second, "two");
  await completes(two);
  await second.stop();
  await heard(1);
  const three = await commit("three");
  await until(first, "three");
  await completes(three);
  await first.stop();
  await world.stopHub();
  await world.deleteData();

  await world.git.git("fleet", ["update-ref", "refs/heads/main", base]);
  await commit("four");
  await world.startHub();
  await world.until("the alarm", async () => (await world.status()).alarms.join().includes(three.slice(0, 7)));
  await world.ask("accept-rewrite", "fleet", "main");
  await second.start();
  await until(second, "four");
  await world.until("the record to say what else was left", async () =>
    (await world.recorded("rewrites/fleet.yaml")).includes(two),
  );
  expect((await world.status()).alarms).toEqual([]);

  // A hub that starts anew need not hear again what told this one.
  await second.stop();
  await world.stopHub();
  await world.deleteData();
  await world.startHub();
  await first.start();
  await until(first, "four");
  await second.start();
  await commit("five");
  await until(first, "five");
  await until(second, "five");
  expect((await world.status()).alarms).toEqual([]);
});
