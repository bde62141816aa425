import { afterAll, beforeAll, expect, test } from "vitest";
import { stringifyJson } from "#proto/json.ts";
import type { KubeObject } from "#proto/object.ts";
import type { ClusterAnswer } from "#proto/api.ts";
import { b1000 } from "#test/bench/b1000.ts";
import { clusterOf, startTrio, type Trio } from "#test/harness/trio.ts";
import { startWebhook, type Verdict } from "#test/harness/webhook-server.ts";

let trio: Trio;
beforeAll(async () => {
  trio = await startTrio();
});
afterAll(() => trio?.[Symbol.asyncDispose]());

/** Files of at most a hundred objects: one file has to stay under 1 MiB. */
function filesOf(objects: readonly KubeObject[]): Record<string, string> {
  const files: Record<string, string> = {};
  for (let from = 0; from < objects.length; from += 100)
    files[`part-${from}.yaml`] = objects
      .slice(from, from + 100)
      .map((object) => stringifyJson(object))
      .join("\n---\n");
  return files;
}

/** Until it is disposed, no write of this object comes to an end. */
async function holdBack({ metadata }: KubeObject): Promise<AsyncDisposable> {
  const { name, namespace = "" } = metadata;
  const person = trio.people.dev;
  const released = Promise.withResolvers<Verdict>();
  const webhook = await startWebhook(person, {
    kind: "Validating",
    name: "held-back",
    namespace,
    // The longest that an API server waits.
    timeoutSeconds: 30,
    judge: ({ metadata }) => (metadata.name === name ? released.promise : {}),
  });
  // The server takes a new webhook into use when it has seen it.
  await person.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } });
  const probe: KubeObject = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "probe", namespace } };
  await trio.world.until("the webhook to be in use", async () => {
    await person.apply(probe, { dryRun: true, force: true });
    return webhook.asked() > 0;
  });
  return {
    async [Symbol.asyncDispose]() {
      released.resolve({});
      await webhook[Symbol.asyncDispose]();
    },
  };
}

test("J10 an agent killed in the middle of an apply of B1000 finishes it, orphans nothing and tells no false drift", async () => {
  const { world } = trio;
  const objects = b1000();
  const kind = (await trio.people.dev.kindOf("v1", "ConfigMap"))!;
  const labelSelector = `plumbline.dev/agent=${clusterOf("dev")}`;
  const applied = async (): Promise<number> => (await trio.people.dev.list(kind, { labelSelector })).items.length;
  const wanted = objects.filter(({ kind }) => kind === "ConfigMap").length;
  {
    // However late it is seen that half is done, the rest is not: one object has no answer before its agent is dead.
    await using _late = await holdBack(objects.findLast(({ kind }) => kind === "ConfigMap")!);
    await trio.deploy("b1000", { dev: filesOf(objects) });
    await world.until("the middle of the apply", async () => (await applied()) > 50);
    await world.agent(clusterOf("dev")).kill("SIGKILL");
    expect(await applied()).toBeLessThan(wanted);
  }
  trio.startAgent("dev");
  const row = async () =>
    (await world.ask<ClusterAnswer>("cluster", "show", clusterOf("dev"))).running.find(
      ({ application }) => application === "b1000",
    );
  // Deployments have no controller here, so nothing waits for their health.
  await world.until("the apply to end", async () => (await row())?.phase === "Applied");
  expect(await applied()).toBe(wanted);
  expect((await row())?.objects).toBe(objects.length);
  expect((await world.drift()).filter(({ application }) => application === "b1000")).toEqual([]);

  // Started again with nothing to do, it does nothing: its first sight of so many objects once ended it.
  const before = await trio.writesButJournal("dev");
  await world.agent(clusterOf("dev")).kill("SIGTERM");
  await world.until(
    "the hub to miss it",
    async () => (await world.ask<ClusterAnswer>("cluster", "show", clusterOf("dev"))).state === "Silent",
  );
  trio.startAgent("dev");
  await world.until(
    "it to be back",
    async () => (await world.ask<ClusterAnswer>("cluster", "show", clusterOf("dev"))).state === "Connected",
  );
  expect((await row())?.objects).toBe(objects.length);
  expect(await trio.writesButJournal("dev")).toEqual(before);
});
