import { missing, read } from "#agent/pull/read.ts";
import type { Link } from "#agent/pull/link.ts";
import type { Clock } from "#lib/clock.ts";
import type { BlobAddress } from "#proto/ids.ts";
import { subjects } from "#proto/subjects.ts";

/** At most 1.5 MiB under way: more can make the broker drop a slow reader. */
const window = 3;

/** The broker does not have a blob that a document names: the bundle is held, and the hub is told. */
export class BlobMissing extends Error {
  override readonly name = "BlobMissing";
  readonly address: BlobAddress;

  constructor(address: BlobAddress, slice: number, slices: number) {
    super(`blob ${address} has no slice ${slice + 1} of ${slices} on the broker`);
    this.address = address;
  }
}

/** The slices in order, unverified. Throws BlobMissing, PullUnavailable, or the signal's reason. */
export async function fetchBlob(
  link: Link,
  clock: Pick<Clock, "sleep">,
  { address, slices }: { readonly address: BlobAddress; readonly slices: number },
  signal: AbortSignal,
): Promise<Uint8Array[]> {
  const found: Uint8Array[] = [];
  const rest = Array.from({ length: slices }).keys();
  const failed = new AbortController();
  const stop = AbortSignal.any([signal, failed.signal]);
  const worker = async (): Promise<void> => {
    for (const slice of rest) {
      const answer = await read(link, clock, subjects.getBlob(address, slice), stop);
      if (answer === missing) throw new BlobMissing(address, slice, slices);
      // A copy: the client's buffer may hold more than this message.
      found[slice] = Buffer.from(answer.data);
    }
  };
  const stopping = async (): Promise<void> => {
    try {
      await worker();
    } catch (error) {
      failed.abort(error);
      throw error;
    }
  };
  await Promise.all(Array.from({ length: window }, stopping));
  return found;
}
