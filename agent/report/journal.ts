import { randomUUID } from "node:crypto";
import type { Event } from "#proto/gen/plumbline/agent/v1/agent.ts";

export type NewEvent = Omit<Event, "sequence">;

/**
 * What happened here and the hub has not acknowledged: bounded, in memory (keep-journal.ts writes it down), numbered from 1 without holes. When it is
 * full the oldest go, and one `dropped` event under the last of their numbers says which.
 */
export class Journal {
  /** New with every journal: sequences of another one mean nothing here. */
  readonly id: string = randomUUID();
  readonly #limit: number;
  readonly #now: () => number;
  #events: Event[] = [];
  #next = 1n;
  #dropped: { from: bigint; to: bigint; events: bigint } | undefined;

  /** Told of each event, so that nobody need look for them. */
  recorded: () => void = () => undefined;

  /**
   * `limit`: events kept, at least 2 (one of them may be the notice of the dropped). `now`: epoch milliseconds.
   * `kept`: what an earlier journal had to say and could not, numbered anew.
   */
  constructor(limit: number, now: () => number, kept: readonly NewEvent[] = []) {
    if (limit < 2) throw new RangeError(`a journal keeps at least 2 events, not ${limit}`);
    this.#limit = limit;
    this.#now = now;
    for (const event of kept) this.record(event);
  }

  record(event: NewEvent): bigint {
    const sequence = this.#next;
    this.#next += 1n;
    this.#events.push({ ...event, sequence });
    while (this.#events.length + (this.#dropped ? 1 : 0) > this.#limit) this.#drop(this.#events.shift()!);
    this.recorded();
    return sequence;
  }

  /** The hub holds everything up to here. A number that was never given, or an old one, changes nothing. */
  acknowledge(sequence: bigint): void {
    if (sequence >= this.#next) return;
    if (this.#dropped && this.#dropped.to <= sequence) this.#dropped = undefined;
    this.#events = this.#events.filter((event) => event.sequence > sequence);
  }

  /** What the hub has yet to acknowledge, after `sequence`, oldest first. */
  after(sequence: bigint): Event[] {
    const notice = this.#dropped && this.#dropped.to > sequence ? [this.#noticeOf(this.#dropped)] : [];
    return [...notice, ...this.#events.filter((event) => event.sequence > sequence)];
  }

  /** First and last number that `after(0n)` gives; first is one more than last when there is none. */
  get range(): { readonly first: bigint; readonly last: bigint } {
    const last = this.#next - 1n;
    return { first: this.after(0n)[0]?.sequence ?? this.#next, last };
  }

  #drop(event: Event): void {
    const before = this.#dropped;
    // The notice of an earlier journal stands for more than itself.
    const events = event.body?.$case === "dropped" ? event.body.value.events : 1n;
    this.#dropped = {
      from: before?.from ?? event.sequence,
      to: event.sequence,
      events: (before?.events ?? 0n) + events,
    };
  }

  #noticeOf({ from, to, events }: { from: bigint; to: bigint; events: bigint }): Event {
    return {
      sequence: to,
      atMs: BigInt(this.#now()),
      application: "",
      environment: "",
      traceparent: "",
      body: { $case: "dropped", value: { events, fromSequence: from, toSequence: to } },
    };
  }
}
