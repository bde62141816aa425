import { expect } from "vitest";
import { configMap, namespace } from "#test/harness/manifests.ts";
import type { Stage, Trio } from "#test/harness/trio.ts";

const stages = ["dev", "staging", "prod"] as const;
const place = (stage: Stage): string => `mortal-${stage}`;
const filesOf = (stage: Stage, level: string) => ({
  "namespace.yaml": namespace(place(stage)),
  "settings.yaml": configMap("settings", { level }).replace(
    "  name: settings",
    `  name: settings\n  namespace: ${place(stage)}`,
  ),
});

/** Everything that a hub does to the world outside it, in words: Git requests, and subjects on the broker. */
export type Effects = (effect: string) => void;

/**
 * One revision from its commit through dev and staging to prod, while `seen` is told of each effect. Resolves once it
 * runs everywhere and is on record; `afterCommits` is awaited before that.
 */
export async function promoteEverywhere(
  trio: Trio,
  level: string,
  seen: Effects,
  afterCommits: () => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  const { world } = trio;
  world.git.onRequest = (name, service) => seen(`${service} ${name}`);
  const { onPush } = world.git;
  world.git.onPush = async (name) => {
    seen(`pushed ${name}`);
    await onPush(name);
  };
  // Each blob has an address of its own.
  await using _tap = await world.tap((subject) => seen(subject.replace(/^(plb\.blob)\..*/, "$1")));
  const revision = await trio.deploy(
    "mortal",
    Object.fromEntries(stages.map((stage) => [stage, filesOf(stage, level)])),
  );
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
  await afterCommits();
  for (const stage of stages) {
    await world.until(`${level} to arrive in ${stage}`, async () => (await levelOf(trio, stage)) === level);
    await trio.settled(stage, "mortal");
  }
  world.git.onRequest = () => undefined;
  world.git.onPush = onPush;
  await world.until("the record to say so", async () =>
    (await world.recorded("record/prod/mortal.yaml")).includes(revision),
  );
}

/**
 * The same, with the hub killed at the first effect that `isIt` says is the one, and started again. False when all was done
 * and no effect was it.
 */
export async function promoteThroughDeath(
  trio: Trio,
  level: string,
  isIt: (effect: string) => boolean,
): Promise<boolean> {
  const { world } = trio;
  let risen: Promise<void> | undefined;
  const committed = Promise.withResolvers<void>();
  const killAndStart = async (): Promise<void> => {
    const hub = world.hub();
    hub.child.kill("SIGKILL");
    await hub.ended;
    // What is pushed while it is away is found by its first look.
    await committed.promise;
    await world.startHub();
  };
  const kill = (effect: string): void => {
    // The last effects come when all has arrived.
    if (risen === undefined && isIt(effect)) risen = killAndStart();
  };
  await promoteEverywhere(trio, level, kill, async () => {
    committed.resolve();
    await world.until(
      "the hub to be killed",
      async () => risen !== undefined || (await levelOf(trio, "prod")) === level,
    );
    await risen;
  });
  await risen;
  expect((await world.drift()).filter(({ application }) => application === "mortal")).toEqual([]);
  return risen !== undefined;
}

async function levelOf(trio: Trio, stage: Stage): Promise<string | undefined> {
  const found = await trio.get(stage, "v1", "ConfigMap", place(stage), "settings");
  return (found?.["data"] as { level?: string } | undefined)?.level;
}
