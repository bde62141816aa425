import type { HubConnection } from "#hub/publish/held-connection.ts";
import { ask, errorCode, isRefusal, persist, store } from "#hub/publish/jetstream.ts";
import { streamInfo } from "#hub/publish/streams.ts";
import type { Clock } from "#lib/clock.ts";
import type { SealedBundle } from "#proto/bundle.ts";
import { blobAddress, type BlobAddress } from "#proto/ids.ts";
import { streams, subjects } from "#proto/subjects.ts";

const window = 4;

/** Stores a sealed bundle once; one that is there already stays as it is. */
export async function putBlob(
  nats: HubConnection,
  clock: Pick<Clock, "sleep">,
  { address, slices }: Pick<SealedBundle, "address" | "slices">,
): Promise<void> {
  if (await persist(clock, () => hasBlob(nats, address, slices.length))) return;
  const rest = slices.entries();
  const worker = async (): Promise<void> => {
    for (const [index, slice] of rest) await persist(clock, () => putSlice(nats, subjects.blob(address, index), slice));
  };
  await Promise.all(Array.from({ length: window }, worker));
}

/** Whether every slice is there, as the stream's leader says. */
export async function hasBlob(nats: HubConnection, address: BlobAddress, slices: number): Promise<boolean> {
  const { state } = await streamInfo(nats, streams.blobs, `plb.blob.${address}.*`);
  return Object.keys(state.subjects ?? {}).length === slices;
}

/** The addresses of all blobs, whole or not. */
export async function blobAddresses(nats: HubConnection): Promise<Set<BlobAddress>> {
  const { state } = await streamInfo(nats, streams.blobs, subjects.anyBlob);
  return new Set(Object.keys(state.subjects ?? {}).map((subject) => blobAddress(subject.split(".")[2] ?? "")));
}

/** Deletes a blob; only for one that no document names, for long enough that no agent is still fetching it. */
export async function dropBlob(nats: HubConnection, address: BlobAddress): Promise<void> {
  await ask(nats, `STREAM.PURGE.${streams.blobs}`, { filter: `plb.blob.${address}.*` });
}

async function putSlice(nats: HubConnection, subject: string, slice: Uint8Array): Promise<void> {
  try {
    await store(nats, subject, slice, { "Nats-Expected-Last-Subject-Sequence": "0" });
  } catch (error) {
    // Its name is the hash of its content: what stands there is the same.
    if (!isRefusal(error, errorCode.wrongLastSequence)) throw error;
  }
}
