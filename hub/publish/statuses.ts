import type { HubConnection } from "#hub/publish/held-connection.ts";
import { persist, store } from "#hub/publish/jetstream.ts";
import { scan } from "#hub/publish/scan.ts";
import type { Clock } from "#lib/clock.ts";
import { applicationName, clusterId, type ApplicationName, type ClusterId } from "#proto/ids.ts";
import { streams, subjects } from "#proto/subjects.ts";

export type StoredStatus = {
  readonly cluster: ClusterId;
  readonly application: ApplicationName;
  readonly bytes: Uint8Array;
  /** When the broker stored it, milliseconds since 1970. */
  readonly atMs: number;
};

/** Replaces the last status. */
export async function putStatus(
  nats: HubConnection,
  clock: Pick<Clock, "sleep">,
  { cluster, application, bytes }: Omit<StoredStatus, "atMs">,
): Promise<void> {
  await persist(clock, () => store(nats, subjects.status(cluster, application), bytes));
}

/** The last status of every application on every cluster, in the order in which they came. */
export async function* readStatuses(
  nats: HubConnection,
  clock: Pick<Clock, "sleep">,
): AsyncGenerator<StoredStatus, void, undefined> {
  for await (const { subject, bytes, atMs } of scan(nats, clock, streams.status, subjects.anyStatus)) {
    const [, , cluster = "", application = ""] = subject.split(".");
    yield { cluster: clusterId(cluster), application: applicationName(application), bytes, atMs };
  }
}
