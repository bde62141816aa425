import { randomUUID } from "node:crypto";
import type { HubConnection } from "#hub/publish/held-connection.ts";
import { holdLease, type Lease, type LeaseClock } from "#hub/publish/held-lease.ts";
import { BrokerUnavailable } from "#hub/publish/jetstream.ts";
import { readLease, writeLease } from "#hub/publish/lease-message.ts";

/** How often the leader moves the lease on. A standby takes it when it stood still for three of them. */
export const leasePeriodMs = 5_000;
const patience = 3;

export type LeaseOptions = {
  readonly clock: LeaseClock;
  readonly periodMs?: number | undefined;
  /** Ends the wait, and nothing once the lease is held. */
  readonly signal?: AbortSignal | undefined;
};

/**
 * Waits until this process leads, however long that takes. Time is counted on the own monotonic clock alone, from when
 * the lease was first seen at its sequence, so no two clocks are ever compared.
 */
export async function acquireLease(nats: HubConnection, holder: string, options: LeaseOptions): Promise<Lease> {
  const { clock, signal, periodMs = leasePeriodMs } = options;
  const claim = { holder, session: randomUUID() };
  let still: { readonly sequence: number; readonly sinceMs: number } | undefined;
  for (;;) {
    signal?.throwIfAborted();
    try {
      const seen = await readLease(nats);
      // An acquisition whose answer was lost.
      if (seen?.claim.session === claim.session) return holdLease(nats, claim, seen.sequence, clock, periodMs);
      const sequence = seen?.sequence ?? 0;
      if (still?.sequence !== sequence) still = { sequence, sinceMs: clock.monotonic() };
      const isOver = clock.monotonic() - still.sinceMs >= patience * periodMs;
      if (seen === undefined || seen.claim.released === true || isOver) {
        const taken = await writeLease(nats, claim, sequence);
        if (taken !== undefined) return holdLease(nats, claim, taken, clock, periodMs);
      }
    } catch (error) {
      if (!(error instanceof BrokerUnavailable)) throw error;
      // Its holder could not renew either: what is counted is silence while the broker is there.
      still = undefined;
    }
    await clock.sleep(periodMs, { signal });
  }
}
