import type { NatsIdentity } from "#hub/identity/nats-jwt.ts";
import { blobAddresses, dropBlob, hasBlob, putBlob } from "#hub/publish/blobs.ts";
import { connectNats } from "#hub/publish/connection.ts";
import { publishDocuments, readDocuments, type OutgoingDocument } from "#hub/publish/documents.ts";
import { appendEvent, readEvents, type Cursor, type EventPage } from "#hub/publish/events.ts";
import type { Lease } from "#hub/publish/held-lease.ts";
import { persist } from "#hub/publish/jetstream.ts";
import { acquireLease, type LeaseOptions } from "#hub/publish/lease.ts";
import { pushClaims } from "#hub/publish/push-claims.ts";
import { putStatus, readStatuses, type StoredStatus } from "#hub/publish/statuses.ts";
import { ensureStreams, streamId, streamInfo } from "#hub/publish/streams.ts";
import { systemClock, type Clock } from "#lib/clock.ts";
import type { SealedBundle } from "#proto/bundle.ts";
import type { ApplicationName, BlobAddress, ClusterId } from "#proto/ids.ts";
import { streams } from "#proto/subjects.ts";

/** The hub's side of NATS: transport and history. Calls throw BrokerUnavailable after some tries; all may be made again. */
export type Broker = AsyncDisposable & {
  /** Before anything else, and again after the lease was lost: a broker made anew has none. */
  ensureStreams(): Promise<void>;
  /** Waits until this process leads. */
  lease(holder: string, options?: Partial<LeaseOptions>): Promise<Lease>;
  putBlob(sealed: Pick<SealedBundle, "address" | "slices">): Promise<void>;
  hasBlob(address: BlobAddress, slices: number): Promise<boolean>;
  blobs(): Promise<Set<BlobAddress>>;
  dropBlob(address: BlobAddress): Promise<void>;
  publish(documents: readonly OutgoingDocument[], lease: Lease): Promise<"published" | "fenced">;
  documents(): Promise<Map<ClusterId, Uint8Array>>;
  putStatus(cluster: ClusterId, application: ApplicationName, bytes: Uint8Array): Promise<void>;
  statuses(): AsyncIterable<StoredStatus>;
  appendEvent(type: string, cluster: ClusterId | "hub", bytes: Uint8Array): Promise<Cursor>;
  events(from: Cursor | undefined, options: { readonly limit: number }): Promise<EventPage | "gone">;
  /** Gives the agents' account new claims; agents whose nkey it revokes are disconnected. */
  pushClaims(accountJwt: string): Promise<void>;
  /** Whether there is a connection now; it comes back by itself. */
  isConnected(): boolean;
};

export type BrokerOptions = {
  readonly url: string | readonly string[];
  readonly identity: Pick<NatsIdentity, "hubUser" | "systemUser">;
  readonly ca?: string | undefined;
  /** Copies of each stream: 1, or 3 on a cluster of servers. */
  readonly replicas?: 1 | 3 | undefined;
  readonly clock?: Clock | undefined;
  /** Told of each try that failed while the first connection is waited for. */
  readonly failed?: ((error: unknown) => void) | undefined;
  /** Ends the wait for the first connection. */
  readonly signal?: AbortSignal | undefined;
};

export async function openBroker(options: BrokerOptions): Promise<Broker> {
  const { identity, ca, replicas = 1, clock = systemClock, failed, signal } = options;
  const urls = typeof options.url === "string" ? [options.url] : options.url;
  const nats = await connectNats({ urls, ca, user: identity.hubUser, clock, failed, signal });
  let history: string | undefined;
  const historyId = async (): Promise<string> => (history ??= streamId(await streamInfo(nats, streams.events)));
  return {
    async ensureStreams() {
      history = undefined;
      await persist(clock, () => ensureStreams(nats, replicas));
    },
    lease: (holder, wait = {}) => acquireLease(nats, holder, { clock, ...wait }),
    putBlob: (sealed) => putBlob(nats, clock, sealed),
    hasBlob: (address, slices) => persist(clock, () => hasBlob(nats, address, slices)),
    blobs: () => persist(clock, () => blobAddresses(nats)),
    dropBlob: (address) => persist(clock, () => dropBlob(nats, address)),
    publish: (documents, lease) => publishDocuments(nats, clock, documents, lease),
    documents: () => readDocuments(nats, clock),
    putStatus: (cluster, application, bytes) => putStatus(nats, clock, { cluster, application, bytes }),
    statuses: () => readStatuses(nats, clock),
    appendEvent: async (type, cluster, bytes) =>
      appendEvent(nats, clock, await persist(clock, historyId), { type, cluster, bytes }),
    events: (from, { limit }) => persist(clock, () => readEvents(nats, from, limit)),
    pushClaims: (accountJwt) => pushClaims({ urls, ca, user: identity.systemUser, clock }, accountJwt),
    isConnected: () => nats.isConnected(),
    [Symbol.asyncDispose]: () => nats.close(),
  };
}
