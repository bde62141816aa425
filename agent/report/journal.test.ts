import fc from "fast-check";
import { expect, test } from "vitest";
import { Journal, type NewEvent } from "#agent/report/journal.ts";

const event = (text: string): NewEvent => ({
  atMs: 0n,
  application: "web",
  environment: "prod",
  traceparent: "",
  body: { $case: "notice", value: { text } },
});
const sequences = (journal: Journal, after = 0n) => journal.after(after).map(({ sequence }) => sequence);

test("keeps an event until the hub acknowledges it", () => {
  const journal = new Journal(10, () => 7);
  for (const text of ["a", "b", "c"]) journal.record(event(text));
  journal.acknowledge(2n);
  expect(sequences(journal)).toEqual([3n]);
  expect(journal.range).toEqual({ first: 3n, last: 3n });
  journal.acknowledge(99n);
  expect(sequences(journal)).toEqual([3n]);
});

test("drops the oldest when full, and says which under the last of their numbers", () => {
  const journal = new Journal(3, () => 7);
  for (const text of ["a", "b", "c", "d", "e"]) journal.record(event(text));
  expect(sequences(journal)).toEqual([3n, 4n, 5n]);
  expect(journal.after(0n)[0]?.body).toEqual({
    $case: "dropped",
    value: { events: 3n, fromSequence: 1n, toSequence: 3n },
  });
  journal.acknowledge(3n);
  expect(sequences(journal)).toEqual([4n, 5n]);
});

test("counts for all that an earlier journal dropped, also when its notice is dropped itself", () => {
  const first = new Journal(3, () => 7);
  for (let n = 0; n < 20; n += 1) first.record(event(`${n}`));
  const second = new Journal(3, () => 7, first.after(0n));
  second.record(event("a"));
  second.record(event("b"));
  expect(second.after(0n).map(({ body }) => body)).toEqual([
    { $case: "dropped", value: { events: 20n, fromSequence: 1n, toSequence: 3n } },
    event("a").body,
    event("b").body,
  ]);
});

test("accounts for every event: acknowledged, kept, or named as dropped, and is never larger than its limit", () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.constant("record"), fc.bigInt({ min: 0n, max: 60n })), { maxLength: 60 }),
      (steps) => {
        const journal = new Journal(4, () => 0);
        let acknowledged = 0n;
        for (const step of steps) {
          if (typeof step === "string") journal.record(event(step));
          else {
            journal.acknowledge(step);
            if (step <= journal.range.last && step > acknowledged) acknowledged = step;
          }
          const kept = journal.after(acknowledged);
          expect(kept.length).toBeLessThanOrEqual(4);
          const named = kept.flatMap(({ sequence, body }) => {
            if (body?.$case !== "dropped") return [sequence];
            const { fromSequence: from, toSequence: to } = body.value;
            return Array.from({ length: Number(to - from) + 1 }, (_, n) => from + BigInt(n));
          });
          const owed = Array.from(
            { length: Number(journal.range.last - acknowledged) },
            (_, n) => acknowledged + BigInt(n) + 1n,
          );
          expect(named).toEqual(expect.arrayContaining(owed));
        }
      },
    ),
  );
});
