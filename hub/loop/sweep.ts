import type { Broker } from "#hub/publish/broker.ts";
import type { Lease } from "#hub/publish/held-lease.ts";
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import type { BlobAddress } from "#proto/ids.ts";

const sweepEveryMs = 3_600_000;
/** An agent that was told of a blob has long fetched it, and what is rolled back within a day is still at hand. */
const unneededForMs = 24 * 3_600_000;

type Parts = {
  readonly broker: Pick<Broker, "blobs" | "dropBlob">;
  readonly lease: Pick<Lease, "renew">;
  /** What the newest document of any cluster names. */
  readonly needed: () => ReadonlySet<BlobAddress>;
  /** Called before a blob goes: nobody may count on it from then on. */
  readonly forget: (address: BlobAddress) => void;
  readonly clock: Clock;
  readonly log: Log;
};

/** Drops blobs that no document has named for a day; looks once an hour, however often it is called. */
export function createSweep({ broker, lease, needed, forget, clock, log }: Parts): () => Promise<void> {
  const unneededSince = new Map<BlobAddress, number>();
  let dueAt = clock.monotonic() + sweepEveryMs;

  return async () => {
    const now = clock.monotonic();
    if (now < dueAt) return;
    dueAt = now + sweepEveryMs;
    const there = await broker.blobs();
    const isNeeded = needed();
    for (const address of unneededSince.keys())
      if (!there.has(address) || isNeeded.has(address)) unneededSince.delete(address);
    let dropped = 0;
    for (const address of there) {
      if (isNeeded.has(address)) continue;
      const since = unneededSince.get(address) ?? now;
      unneededSince.set(address, since);
      if (now - since < unneededForMs) continue;
      // A hub that was paused may lead no more, and know nothing of what its successor published.
      if ((await lease.renew()) !== "held") return;
      if (needed().has(address)) continue;
      forget(address);
      await broker.dropBlob(address);
      unneededSince.delete(address);
      dropped += 1;
    }
    if (dropped > 0) log.info({ blobs: dropped, kept: there.size - dropped }, "dropped bundles that nothing needs");
  };
}
