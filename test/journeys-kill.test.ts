import { afterAll, beforeAll, expect, test } from "vitest";
import { configMap, namespace } from "#test/harness/manifests.ts";
import { startTrio, type Stage, type Trio } from "#test/harness/trio.ts";

let trio: Trio;
beforeAll(async () => {
  trio = await startTrio();
});
afterAll(() => trio?.[Symbol.asyncDispose]());

const place = (stage: Stage): string => `mortal-${stage}`;
const filesOf = (stage: Stage, level: string) => ({
  "namespace.yaml": namespace(place(stage)),
  "settings.yaml": configMap("settings", { level }).replace(
    "  name: settings",
    `  name: settings\n  namespace: ${place(stage)}`,
  ),
});
const level = async (stage: Stage): Promise<string | undefined> =>
  ((await trio.get(stage, "v1", "ConfigMap", place(stage), "settings"))?.["data"] as { level?: string } | undefined)
    ?.level;

/** What a promotion does to the world outside the hub, in words; at each of them a hub is killed once. */
const effects = [
  "fetch fleet",
  "plb.blob",
  "plb.desired.dev-1",
  "plb.status.dev-1",
  "plb.events.receipt.dev-1",
  "push fleet",
  "pushed fleet",
  "plb.desired.staging-1",
  "plb.events.receipt.staging-1",
  "plb.desired.prod-1",
] as const;

test.each(effects)(
  "J13 a hub killed at %s of a promotion ends in the same state as one that was not",
  async (effect) => {
    const { world } = trio;
    const wanted = `killed at ${effect}`;
    let armed = true;
    const seen = (what: string): void => {
      if (!armed || !what.startsWith(effect)) return;
      armed = false;
      world.hub().child.kill("SIGKILL");
    };
    world.git.onRequest = (name, service) => seen(`${service} ${name}`);
    const { onPush } = world.git;
    world.git.onPush = async (name) => {
      seen(`pushed ${name}`);
      await onPush(name);
    };
    await using _tap = await world.tap(seen);

    const stages: Partial<Record<Stage, Record<string, string>>> = {};
    for (const stage of ["dev", "staging", "prod"] as const) stages[stage] = filesOf(stage, wanted);
    const revision = await trio.deploy("mortal", stages);
    // People's intent is in Git, whatever becomes of the hub.
    const promotion = (stage: Stage): string =>
      `apiVersion: plumbline.dev/v1\nkind: Promotion\nmetadata: {name: mortal}\nspec: {environment: ${stage}, application: mortal, revision: ${revision}}\n`;
    await world.git.commit(
      "fleet",
      "main",
      {
        "fleet/promotions/staging/mortal.yaml": promotion("staging"),
        "fleet/promotions/prod/mortal.yaml": promotion("prod"),
      },
      "promote mortal",
    );
    await world.until("the hub to be killed", async () => !armed);
    await world.hub().ended;
    await world.startHub();
    for (const stage of ["dev", "staging", "prod"] as const) {
      await world.until(`${stage} to arrive`, async () => (await level(stage)) === wanted);
      await trio.settled(stage, "mortal");
    }
    world.git.onRequest = () => undefined;
    world.git.onPush = onPush;
    const record = await (async () => {
      let text = "";
      await world.until("the record to say so", async () => {
        text = await world.git.git("fleet", ["show", "plumbline/record:record/prod/mortal.yaml"]);
        return text.includes("completed:");
      });
      return text;
    })();
    expect(record).toContain("application: mortal");
    expect((await world.drift()).filter(({ application }) => application === "mortal")).toEqual([]);
  },
);
