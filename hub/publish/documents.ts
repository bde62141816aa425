import { randomUUID } from "node:crypto";
import type { HubConnection } from "#hub/publish/held-connection.ts";
import type { Lease } from "#hub/publish/held-lease.ts";
import { answerOf, errorCode, headersOf, isRefusal, persist, request, store } from "#hub/publish/jetstream.ts";
import { scan } from "#hub/publish/scan.ts";
import type { Clock } from "#lib/clock.ts";
import { clusterId, type ClusterId } from "#proto/ids.ts";
import { streams, subjects } from "#proto/subjects.ts";

/** The server's own limit of an atomic batch. */
export const batchDocuments = 1_000;
const batchBytes = 8 * 1024 ** 2;
/** Under the broker's default message limit of 1 MiB, with room for headers. */
export const documentBytes = 1000 * 1024;

export type OutgoingDocument = {
  readonly cluster: ClusterId;
  readonly envelope: Uint8Array;
  /** W3C trace context of the revision, for the agent's span to link to. */
  readonly traceparent?: string | undefined;
};

/**
 * Stores each document as its cluster's only one, and notifies the cluster. Each batch is stored whole or not at all, and
 * only while `lease` is ours; batches before a refused one stay. Safe to call again after BrokerUnavailable.
 */
export async function publishDocuments(
  nats: HubConnection,
  clock: Pick<Clock, "sleep">,
  documents: readonly OutgoingDocument[],
  lease: Lease,
): Promise<"published" | "fenced"> {
  for (const { cluster, envelope } of documents)
    if (envelope.length > documentBytes)
      throw new Error(
        `Cluster ${cluster}: its desired state has ${envelope.length} bytes, at most ${documentBytes} fit`,
      );
  for (const batch of batchesOf(documents)) {
    const outcome = await lease.fenced((sequence) => persist(clock, () => send(nats, batch, sequence)));
    if (outcome === "fenced") return "fenced";
  }
  return "published";
}

/** The document that each cluster has now. */
export async function readDocuments(
  nats: HubConnection,
  clock: Pick<Clock, "sleep">,
): Promise<Map<ClusterId, Uint8Array>> {
  const found = new Map<ClusterId, Uint8Array>();
  for await (const { subject, bytes } of scan(nats, clock, streams.desired))
    if (subject !== subjects.lease) found.set(clusterId(subject.slice(subject.lastIndexOf(".") + 1)), bytes);
  return found;
}

async function send(
  nats: HubConnection,
  batch: readonly OutgoingDocument[],
  lease: number,
): Promise<"published" | "refused"> {
  try {
    await (batch.length === 1 ? sendOne(nats, batch[0]!, lease) : sendBatch(nats, batch, lease));
    return "published";
  } catch (error) {
    if (isRefusal(error, errorCode.wrongLastSequence)) return "refused";
    throw error;
  }
}

const sendOne = (nats: HubConnection, document: OutgoingDocument, lease: number): Promise<number> =>
  store(nats, subjects.desired(document.cluster), document.envelope, fieldsOf(document, lease));

/** ADR-50: the first message is answered when a batch may begin, the last one when all of it is stored. */
async function sendBatch(nats: HubConnection, batch: readonly OutgoingDocument[], lease: number): Promise<void> {
  const id = randomUUID();
  for (const [index, document] of batch.entries()) {
    const subject = subjects.desired(document.cluster);
    const isLast = index === batch.length - 1;
    const fields = headersOf({
      ...fieldsOf(document, lease),
      "Nats-Batch-Id": id,
      "Nats-Batch-Sequence": `${index + 1}`,
      ...(isLast ? { "Nats-Batch-Commit": "1" } : {}),
    });
    if (index > 0 && !isLast) {
      nats.publish(subject, document.envelope, { headers: fields });
      continue;
    }
    const answer = await request(nats, subject, document.envelope, fields);
    if (isLast || answer.data.length > 0) answerOf(subject, answer);
  }
}

// Fenced on the lease's subject, not on the document's own: a stale leader knows that one's sequence just as well.
const fieldsOf = ({ traceparent }: OutgoingDocument, lease: number): Record<string, string> => ({
  "Nats-Expected-Last-Subject-Sequence": `${lease}`,
  "Nats-Expected-Last-Subject-Sequence-Subject": subjects.lease,
  ...(traceparent === undefined ? {} : { traceparent }),
});

function* batchesOf(documents: readonly OutgoingDocument[]): Generator<OutgoingDocument[]> {
  let batch: OutgoingDocument[] = [];
  let bytes = 0;
  for (const document of documents) {
    if (batch.length === batchDocuments || (batch.length > 0 && bytes + document.envelope.length > batchBytes)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(document);
    bytes += document.envelope.length;
  }
  if (batch.length > 0) yield batch;
}
