import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { Journal } from "#agent/report/journal.ts";
import { packJournal, unpackJournal, UnreadableJournal } from "#agent/report/packed-journal.ts";
import type { Event } from "#proto/gen/plumbline/agent/v1/agent.ts";

const notices = (count: number, limit = count, text = (n: number) => `notice ${n}`): readonly Event[] => {
  const journal = new Journal(limit, () => 7);
  for (let n = 1; n <= count; n += 1)
    journal.record({
      atMs: BigInt(n),
      application: "web",
      environment: "prod",
      traceparent: "",
      body: { $case: "notice", value: { text: text(n) } },
    });
  return journal.after(0n);
};

test("gives back what was packed", () => {
  const events = notices(100);
  expect(unpackJournal(packJournal(events))).toEqual(events);
  expect(unpackJournal(packJournal([]))).toEqual([]);
});

test("keeps the newest that fit one Secret, and counts what it leaves out", () => {
  // Random text does not shrink: 2 MB of it are three times what a Secret holds.
  const events = notices(2_000, 2_000, () => randomBytes(500).toString("hex"));
  const limit = 500_000;
  const packed = packJournal(events, limit);
  expect(packed.length).toBeLessThanOrEqual(limit);
  const [dropped, ...kept] = unpackJournal(packed);
  expect(kept).toEqual(events.slice(-kept.length));
  expect(kept.length).toBeGreaterThan(200);
  expect(dropped!.body).toEqual({
    $case: "dropped",
    value: {
      events: BigInt(2_000 - kept.length),
      fromSequence: 1n,
      toSequence: BigInt(2_000 - kept.length),
    },
  });
});

test("leaves room in the Secret that it is kept in, however much there is to keep", () => {
  const events = notices(3_000, 3_000, () => randomBytes(500).toString("hex"));
  expect(packJournal(events).length).toBeLessThanOrEqual(1024 * 1024);
});

test("a notice that is left out itself counts for all it stood for", () => {
  const events = notices(50, 20, () => randomBytes(500).toString("hex"));
  const [dropped, ...kept] = unpackJournal(packJournal(events, 5_000));
  expect(dropped!.body).toMatchObject({ $case: "dropped", value: { events: BigInt(50 - kept.length) } });
});

test("what is no journal is refused", () => {
  const packed = packJournal(notices(3));
  for (const bytes of [Buffer.from("no journal"), packed.subarray(0, packed.length - 4), Buffer.alloc(0)])
    expect(() => unpackJournal(bytes)).toThrow(UnreadableJournal);
});
