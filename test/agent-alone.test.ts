import { expect, test } from "vitest";
import { readKeptJournal } from "#agent/report/keep-journal.ts";
import { Journal } from "#agent/report/journal.ts";
import { silentLog } from "#lib/log.ts";
import { realBackend } from "#test/drift-cases/backend.ts";
import { settings } from "#test/drift-cases/objects.ts";
import { World } from "#test/drift-cases/world.ts";

const dayMs = 86_400_000;
const edits = 72;
const kept = 30;

test("a day without hub and broker: drift is healed all day, and the journal says what it could not keep", async () => {
  await using backend = await realBackend();
  await using world = await World.open(backend, "alone");
  const journal = new Journal(kept, () => world.clock.now());
  world.journal.recorded = () => {
    for (const event of world.journal.after(0n)) journal.record(event);
    world.journal.acknowledge(world.journal.range.last);
  };
  await using memory = await backend.agent("journal-keeper");
  const parts = { cluster: memory, namespace: world.agentNamespace, clock: world.clock, log: silentLog };
  const store = await readKeptJournal(parts, AbortSignal.timeout(10_000));
  const keeping = store.keep(journal, () => false);
  const a = settings(world, { level: "info" });
  await world.deploy([a]);
  const before = journal.range.last;
  for (let edit = 0; edit < edits; edit += 1) {
    await world.edit(a, { "data.level": `debug-${edit}` });
    await world.caughtUp();
    expect(await world.value(a, "data.level")).toBe("info");
    await world.clock.advance(dayMs / edits);
  }
  await keeping[Symbol.asyncDispose]();

  const [first, ...rest] = journal.after(0n);
  expect(first?.body).toMatchObject({ $case: "dropped" });
  const dropped = (first!.body as { value: { events: bigint; fromSequence: bigint; toSequence: bigint } }).value;
  expect(dropped).toEqual({ events: dropped.toSequence, fromSequence: 1n, toSequence: dropped.toSequence });
  expect(rest).toHaveLength(kept - 1);
  // Complete after what it dropped, and its newest is the last edit.
  expect(rest.map(({ sequence }) => sequence)).toEqual(rest.map((_event, n) => dropped.toSequence + 1n + BigInt(n)));
  expect(journal.range.last - before).toBe(BigInt(edits));
  expect(rest.map(({ body }) => body?.$case === "drift" && body.value.fields[0]?.after)).toEqual(
    Array.from({ length: kept - 1 }, (_, n) => `debug-${edits - kept + 1 + n}`),
  );

  // The next agent tells the same, in order, the notice first.
  const next = await readKeptJournal(parts, AbortSignal.timeout(10_000));
  expect(next.events.map(({ body }) => body)).toEqual(journal.after(0n).map(({ body }) => body));
  const requests = await backend.plane!.requests();
  const writes = requests.filter(({ user, verb }) => user === "journal-keeper" && ["create", "update"].includes(verb));
  expect(writes.length).toBeLessThanOrEqual(edits + 2);
});
