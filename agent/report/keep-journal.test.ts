import { expect, test } from "vitest";
import { createSimulatedCluster } from "#agent/cluster/simulated/simulated.ts";
import { Journal } from "#agent/report/journal.ts";
import { readKeptJournal } from "#agent/report/keep-journal.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";

const namespace = "plumbline-agent";
const never = new AbortController().signal;
const secret = { apiVersion: "v1", group: "", kind: "Secret", namespace, name: "plumbline-journal" };

async function world() {
  const simulated = createSimulatedCluster();
  const cluster = simulated.connect();
  await cluster.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } });
  const clock = new VirtualClock();
  const lines: string[] = [];
  const tell = (_fields: object, message: string): void => void lines.push(message);
  const log = { info: tell, warn: tell, error: tell };
  let connected = false;
  const writes = (): number =>
    Object.entries(simulated.requests())
      .filter(([request]) => /^(create|update) secrets$/.test(request))
      .reduce((sum, [, count]) => sum + count, 0);
  return {
    simulated,
    clock,
    lines,
    writes,
    connect: (now: boolean) => void (connected = now),
    /** An agent's journal, from its start to its end. */
    start: async () => {
      const kept = await readKeptJournal({ cluster, namespace, clock, log }, never);
      const journal = new Journal(100, () => clock.now(), kept.events);
      const keeping = kept.keep(journal, () => connected);
      return { journal, stop: () => keeping[Symbol.asyncDispose]() };
    },
  };
}

const notice = (text: string) => ({
  atMs: 1n,
  application: "web",
  environment: "prod",
  traceparent: "",
  body: { $case: "notice" as const, value: { text } },
});
const texts = (journal: Journal): string[] =>
  journal.after(0n).flatMap(({ body }) => (body?.$case === "notice" ? [body.value.text] : []));

test("what happened without the hub is there after the agent was killed, numbered anew", async () => {
  const { clock, start } = await world();
  const first = await start();
  first.journal.record(notice("a"));
  first.journal.record(notice("b"));
  await clock.advance(10_000);
  // Killed: nothing more is written.
  const second = await start();
  expect(texts(second.journal)).toEqual(["a", "b"]);
  expect(second.journal.range).toEqual({ first: 1n, last: 2n });
  expect(second.journal.id).not.toBe(first.journal.id);
  await first.stop();
  await second.stop();
});

test("costs at most one write in 10 s, none when nothing happened, and none while the hub listens", async () => {
  const { clock, writes, connect, start } = await world();
  const { journal, stop } = await start();
  for (let second = 0; second < 30; second += 1) {
    journal.record(notice(`at ${second}`));
    await clock.advance(1_000);
  }
  expect(writes()).toBe(3);
  await clock.advance(3_600_000);
  // The last second's event was written by the third; nothing has happened since.
  expect(writes()).toBe(3);
  connect(true);
  journal.record(notice("heard at once"));
  await clock.advance(60_000);
  expect(writes()).toBe(3);
  journal.acknowledge(journal.range.last);
  await clock.advance(60_000);
  // Told: the Secret is emptied, once, so that a later agent does not say it again.
  expect(writes()).toBe(4);
  await clock.advance(60_000);
  await stop();
  expect(writes()).toBe(4);
  const next = await start();
  expect(texts(next.journal)).toEqual([]);
  await next.stop();
});

test("an agent that stops writes down what the hub has not acknowledged", async () => {
  const { clock, connect, start } = await world();
  connect(true);
  const { journal, stop } = await start();
  journal.record(notice("on its way"));
  await clock.advance(60_000);
  await stop();
  const next = await start();
  expect(texts(next.journal)).toEqual(["on its way"]);
  await next.stop();
});

test("a quiet agent never writes one", async () => {
  const { clock, writes, start } = await world();
  const { stop } = await start();
  await clock.advance(86_400_000);
  await stop();
  expect(writes()).toBe(0);
});

test("a Secret that is no journal is told, and written over", async () => {
  const { simulated, clock, lines, start } = await world();
  const first = await start();
  first.journal.record(notice("a"));
  await clock.advance(10_000);
  simulated.edit(secret, (object) => void (object["data"] = { journal: "bm90IGEgam91cm5hbA==" }), {
    manager: "kubectl",
  });
  const second = await start();
  const said = "Secret plumbline-journal cannot be read: what happened while the hub was away is lost";
  expect(texts(second.journal)).toEqual([said]);
  expect(lines.join("\n")).toContain(said);
  second.journal.record(notice("b"));
  await second.stop();
  const third = await start();
  expect(texts(third.journal)).toEqual([said, "b"]);
  await third.stop();
  await first.stop();
});

test("a refused write is tried again ten seconds later", async () => {
  const { simulated, clock, lines, start } = await world();
  const { journal, stop } = await start();
  simulated.fail({ verb: "create", resource: "secrets" }, new Error("the server is away"), 1);
  journal.record(notice("a"));
  await clock.advance(10_000);
  expect(lines.join("\n")).toContain("could not be written down");
  await clock.advance(10_000);
  const next = await start();
  expect(texts(next.journal)).toEqual(["a"]);
  await next.stop();
  await stop();
});
