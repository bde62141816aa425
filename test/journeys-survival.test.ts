import { afterAll, beforeAll, expect, test } from "vitest";
import { unpackJournal } from "#agent/report/packed-journal.ts";
import type { ClusterAnswer, HistoryAnswer } from "#proto/api.ts";
import { DriftState } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { configMap, namespace } from "#test/harness/manifests.ts";
import { clusterOf, startTrio, type Stage, type Trio } from "#test/harness/trio.ts";

let trio: Trio;
beforeAll(async () => {
  trio = await startTrio();
});
afterAll(() => trio?.[Symbol.asyncDispose]());

const stages: readonly Stage[] = ["dev", "staging", "prod"];
const inside = (name: string, stage: Stage): string => `${name}-${stage}`;
const filesOf = (name: string, stage: Stage, level: string) => ({
  "namespace.yaml": namespace(inside(name, stage)),
  "settings.yaml": configMap("settings", { level }).replace(
    "  name: settings",
    `  name: settings\n  namespace: ${inside(name, stage)}`,
  ),
});
const everywhere = (name: string, level: string) =>
  Object.fromEntries(stages.map((stage) => [stage, filesOf(name, stage, level)]));
const level = async (stage: Stage, name: string): Promise<string | undefined> =>
  (
    (await trio.get(stage, "v1", "ConfigMap", inside(name, stage), "settings"))?.["data"] as
      | { level?: string }
      | undefined
  )?.level;
const allWrites = () => Promise.all(stages.map((stage) => trio.writes(stage)));
const allConnected = async (): Promise<boolean> => {
  const clusters = await trio.world.ask<{ state: string }[]>("cluster", "list");
  return clusters.every(({ state }) => state === "Connected");
};

/** Promotes through all stages, and waits for the end. */
async function walk(name: string, text: string): Promise<string> {
  const revision = await trio.deploy(name, everywhere(name, text));
  await trio.settled("dev", name, revision);
  await trio.world.ask("promote", "staging", name, revision);
  await trio.settled("staging", name, revision);
  await trio.world.ask("promote", "prod", name, revision);
  await trio.settled("prod", name, revision);
  // The last receipt comes a moment after the status; an agent that still had to tell it would write it down meanwhile.
  await trio.proved("prod", name, revision);
  return revision;
}

test("J6 a hub that lost everything but its identity finds the same fleet, and writes nothing to any cluster", async () => {
  const { world } = trio;
  const revision = await walk("phoenix", "one");
  const before = await allWrites();
  await world.stopHub();
  await world.deleteData();
  await world.startHub();
  await world.until("every agent to be back", allConnected);
  for (const stage of stages) await trio.settled(stage, "phoenix", revision);
  expect(await allWrites()).toEqual(before);
  // And it goes on: the broker holds every document again, and the next commit arrives.
  const next = await trio.deploy("phoenix", everywhere("phoenix", "two"));
  await trio.settled("dev", "phoenix", next);
  expect([await level("dev", "phoenix"), await level("prod", "phoenix")]).toEqual(["two", "one"]);
});

test("J7 with hub and broker away drift still heals, and what happened meanwhile arrives afterwards", async () => {
  const { world } = trio;
  const revision = await trio.deploy("alone", everywhere("alone", "info"));
  await trio.settled("dev", "alone", revision);
  await world.stopHub();
  const there = (await trio.get("dev", "v1", "ConfigMap", inside("alone", "dev"), "settings"))!;
  await trio.people.dev.replace({ ...there, data: { level: "debug" } });
  await world.until("the agent to heal alone", async () => (await level("dev", "alone")) === "info");
  await world.startHub();
  await world.until("the episode to arrive", async () =>
    (await world.drift()).some(
      ({ application, state, tool }) => application === "alone" && state === "healed" && tool === "kubectl-edit",
    ),
  );
});

test("what an agent could not tell before it was killed is told by the agent after it, and one that stops says so", async () => {
  const { world } = trio;
  const revision = await trio.deploy("diary", everywhere("diary", "info"));
  await trio.settled("dev", "diary", revision);
  await world.stopHub();
  const there = (await trio.get("dev", "v1", "ConfigMap", inside("diary", "dev"), "settings"))!;
  await trio.people.dev.replace({ ...there, data: { level: "debug" } });
  await world.until("the agent to heal alone", async () => (await level("dev", "diary")) === "info");
  // Healed is not yet known to be healed: the server's answer has its way to go.
  const isNoted = (): boolean => /"application":"diary".*"drift healed"/.test(world.agent(clusterOf("dev")).log());
  await world.until("the heal to be noted", () => Promise.resolve(isNoted()));
  const journal = async (): Promise<string> => {
    const secret = await trio.get("dev", "v1", "Secret", "plumbline-agent", "plumbline-journal");
    return (secret?.["data"] as { journal?: string } | undefined)?.journal ?? "";
  };
  // Every ten seconds: of an agent that is killed no more than that is lost.
  await world.until("it to be written down", async () => {
    const kept = await journal();
    const events = kept === "" ? [] : unpackJournal(Buffer.from(kept, "base64"));
    return events.some(
      ({ application, body }) =>
        application === "diary" && body?.$case === "drift" && body.value.state === DriftState.HEALED,
    );
  });
  await world.agent(clusterOf("dev")).kill("SIGKILL");
  const before = await trio.writesButJournal("dev");
  trio.startAgent("dev");
  await world.startHub();
  await world.until("the episode to arrive", async () =>
    (await world.drift()).some(
      ({ application, state, tool }) => application === "diary" && state === "healed" && tool === "kubectl-edit",
    ),
  );
  await world.until("every agent to be back", allConnected);
  // What is said before a goodbye is heard before it: a hub that starts anew is told all receipts again.
  await world.until("its receipts to arrive", async () => {
    const { running } = await world.ask<ClusterAnswer>("cluster", "show", clusterOf("dev"));
    const receipts = (await world.ask<HistoryAnswer>("history")).events.filter(({ what }) => what === "receipt");
    return running.every(({ application }) =>
      receipts.some((receipt) => receipt.cluster === clusterOf("dev") && receipt.application === application),
    );
  });
  // Receipts are said twice, the hub reads one after the other, and an agent that stops waits three seconds for that.
  await world.until("the hub to have read all of it", async () => {
    const { heardAgoMs } = await world.ask<ClusterAnswer>("cluster", "show", clusterOf("dev"));
    return heardAgoMs !== null && heardAgoMs > 3_000;
  });
  await world.agent(clusterOf("dev")).kill("SIGTERM");
  await world.until("the hub to hear the goodbye", () => Promise.resolve(world.logs().includes("the agent stops")));
  // The Secret that held it holds it no more, so that it is not told again, and nothing else was written. A receipt that
  // was said again, and that the hub had no time to answer, may be in it.
  const left = await journal();
  const owed = left === "" ? [] : unpackJournal(Buffer.from(left, "base64"));
  expect(owed.filter(({ body }) => body?.$case !== "receipt")).toEqual([]);
  expect(await trio.writesButJournal("dev")).toEqual(before);
  trio.startAgent("dev");
  await world.until("every agent to be back", allConnected);
});

test("a revoked cluster keeps everything it runs, and gets nothing more", async () => {
  const { world } = trio;
  const revision = await walk("kept", "one");
  await world.ask("cluster", "revoke", clusterOf("prod"), "--reason", "lost laptop");
  await world.until(
    "it to be cut off",
    async () => (await world.ask<{ state: string }>("cluster", "show", clusterOf("prod"))).state === "Revoked",
  );
  // It may have something to say to the hub that hears it no more, which it then keeps.
  const before = await trio.writesButJournal("prod");
  const next = await trio.deploy("kept", everywhere("kept", "two"));
  await trio.settled("dev", "kept", next);
  await world.ask("promote", "staging", "kept", next);
  await trio.settled("staging", "kept", next);
  await world.ask("promote", "prod", "kept", next);
  expect(await level("prod", "kept")).toBe("one");
  expect(await trio.writesButJournal("prod")).toEqual(before);
  // It still heals what it has.
  const there = (await trio.get("prod", "v1", "ConfigMap", inside("kept", "prod"), "settings"))!;
  await trio.people.prod.replace({ ...there, data: { level: "edited" } });
  await world.until("it to heal", async () => (await level("prod", "kept")) === "one");
  expect(revision).not.toBe(next);
});
