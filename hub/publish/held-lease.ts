import type { HubConnection } from "#hub/publish/held-connection.ts";
import { BrokerUnavailable } from "#hub/publish/jetstream.ts";
import { readLease, writeLease, type LeaseClaim } from "#hub/publish/lease-message.ts";
import type { Clock } from "#lib/clock.ts";

export type LeaseClock = Pick<Clock, "monotonic" | "sleep">;

/** Leadership of the hub. Disposing gives it back, so that a standby need not wait. */
export type Lease = AsyncDisposable & {
  readonly holder: string;
  /** Aborts when another holds it, or it is gone with its stream. A broker that is away loses nobody the lease. */
  readonly lost: AbortSignal;
  /** Moves the lease on now; it does so by itself every period. */
  renew(): Promise<"held" | "lost">;
  /**
   * Runs `publish` with the sequence that fences it; the lease stands still meanwhile. When the broker refuses the fence,
   * the lease is read again: still ours, `publish` runs again, otherwise the answer is `fenced`.
   */
  fenced(publish: (sequence: number) => Promise<"published" | "refused">): Promise<"published" | "fenced">;
};

const fenceTries = 3;

export function holdLease(
  nats: HubConnection,
  claim: LeaseClaim,
  acquired: number,
  clock: LeaseClock,
  periodMs: number,
): Lease {
  let sequence = acquired;
  const lost = new AbortController();
  const stop = new AbortController();
  const one = inTurn();

  /** What the broker says decides, also about a write whose answer was lost. */
  const confirm = async (): Promise<boolean> => {
    const seen = await readLease(nats);
    if (seen?.claim.session !== claim.session) {
      lost.abort(new Error(`${claim.holder} no longer leads: the lease is held by ${seen?.claim.holder ?? "nobody"}`));
      return false;
    }
    sequence = seen.sequence;
    return true;
  };
  const renew = (): Promise<"held" | "lost"> =>
    one(async () => {
      if (lost.signal.aborted) return "lost";
      const moved = await writeLease(nats, claim, sequence).catch(unlessAway);
      if (moved === undefined) return (await confirm()) ? "held" : "lost";
      sequence = moved;
      return "held";
    });
  const keep = async (): Promise<void> => {
    while (!lost.signal.aborted && !stop.signal.aborted) {
      await clock.sleep(periodMs, { signal: stop.signal }).catch(() => undefined);
      if (!stop.signal.aborted) await renew().catch(unlessAway);
    }
  };
  const kept = keep().catch((error: unknown) => lost.abort(error));

  return {
    holder: claim.holder,
    lost: lost.signal,
    renew,
    fenced: (publish) =>
      one(async () => {
        for (let attempt = 1; attempt <= fenceTries; attempt++) {
          if (lost.signal.aborted) return "fenced";
          if ((await publish(sequence)) === "published") return "published";
          if (!(await confirm())) return "fenced";
        }
        throw new BrokerUnavailable("broker refuses the fence of the lease that it says is ours");
      }),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await kept;
      if (lost.signal.aborted) return;
      await one(() => writeLease(nats, { ...claim, released: true }, sequence)).catch(unlessAway);
      lost.abort(new Error(`${claim.holder} gave the lease back`));
    },
  };
}

function unlessAway(error: unknown): undefined {
  if (!(error instanceof BrokerUnavailable)) throw error;
}

/** Runs what it is given one at a time, in order. */
function inTurn(): <Value>(work: () => Promise<Value>) => Promise<Value> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const next = last.then(work);
    last = next.catch(() => undefined);
    return next;
  };
}
