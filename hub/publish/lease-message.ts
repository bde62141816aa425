import type { HubConnection } from "#hub/publish/held-connection.ts";
import { errorCode, isRefusal, store } from "#hub/publish/jetstream.ts";
import { readLast } from "#hub/publish/scan.ts";
import { streams, subjects } from "#proto/subjects.ts";

/** What stands in the lease: who, and which process of that name. */
export type LeaseClaim = { readonly holder: string; readonly session: string; readonly released?: true };
export type LeaseSeen = { readonly sequence: number; readonly claim: LeaseClaim };

/** The lease as the stream's leader has it. */
export async function readLease(nats: HubConnection): Promise<LeaseSeen | undefined> {
  const found = await readLast(nats, streams.desired, subjects.lease);
  if (found === undefined) return undefined;
  return { sequence: found.sequence, claim: JSON.parse(found.bytes.toString("utf8")) as LeaseClaim };
}

/** Compare-and-swap: the new sequence, or undefined when the lease is no longer at `sequence`. */
export async function writeLease(
  nats: HubConnection,
  claim: LeaseClaim,
  sequence: number,
): Promise<number | undefined> {
  try {
    return await store(nats, subjects.lease, Buffer.from(JSON.stringify(claim)), {
      "Nats-Expected-Last-Subject-Sequence": `${sequence}`,
    });
  } catch (error) {
    if (isRefusal(error, errorCode.wrongLastSequence)) return undefined;
    throw error;
  }
}
