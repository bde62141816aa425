import type { HubConnection } from "#hub/publish/held-connection.ts";
import { ask, errorCode, isRefusal } from "#hub/publish/jetstream.ts";
import { streams, subjects } from "#proto/subjects.ts";
import { sha256Hex } from "#proto/json.ts";

const mebibyte = 1024 ** 2;
const dayNs = 86_400 * 1e9;

/** Bytes that each stream may hold; a full one refuses (events: drops the oldest). A server sets them aside at creation. */
export const streamBytes = {
  [streams.desired]: 1024 * mebibyte,
  [streams.blobs]: 8192 * mebibyte,
  [streams.status]: 512 * mebibyte,
  [streams.events]: 2048 * mebibyte,
} as const;
/** How long history is kept; export it to keep it longer. */
export const eventDays = 90;

const common = {
  retention: "limits",
  storage: "file",
  allow_direct: true,
  // We make none: whoever leaks them should meet a limit before the broker does.
  max_consumers: 32,
  // Message ids are used by events alone; each costs the broker memory for this long.
  duplicate_window: 120 * 1e9,
};
// A full stream must refuse, not forget another cluster's document.
const latestOfEach = { ...common, max_msgs_per_subject: 1, discard: "new" };

const configs = [
  {
    ...latestOfEach,
    name: streams.desired,
    subjects: [subjects.anyDesired, subjects.lease],
    max_bytes: streamBytes[streams.desired],
    allow_atomic: true,
    republish: { src: subjects.anyDesired, dest: "plb.notify.{{wildcard(1)}}", headers_only: true },
  },
  { ...latestOfEach, name: streams.blobs, subjects: [subjects.anyBlob], max_bytes: streamBytes[streams.blobs] },
  { ...latestOfEach, name: streams.status, subjects: [subjects.anyStatus], max_bytes: streamBytes[streams.status] },
  {
    ...common,
    name: streams.events,
    subjects: [subjects.anyEvent],
    max_bytes: streamBytes[streams.events],
    discard: "old",
    max_age: eventDays * dayNs,
    deny_delete: true,
    deny_purge: true,
    compression: "s2",
  },
];

type StreamInfo = {
  readonly created: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly state: {
    readonly messages: number;
    readonly first_seq: number;
    readonly last_seq: number;
    readonly subjects?: Readonly<Record<string, number>>;
  };
};

export const streamInfo = (nats: HubConnection, stream: string, filter?: string): Promise<StreamInfo> =>
  ask<StreamInfo>(nats, `STREAM.INFO.${stream}`, filter === undefined ? {} : { subjects_filter: filter });

/** Creates what is missing and changes what differs; nothing that is stored is lost. */
export async function ensureStreams(nats: HubConnection, replicas: number): Promise<void> {
  for (const config of configs) {
    const wanted = { ...config, num_replicas: replicas };
    const found = await configOf(nats, config.name);
    if (found === undefined) await ask(nats, `STREAM.CREATE.${config.name}`, wanted);
    else if (differs(wanted, found)) await ask(nats, `STREAM.UPDATE.${config.name}`, { ...found, ...wanted });
  }
}

async function configOf(nats: HubConnection, stream: string): Promise<Readonly<Record<string, unknown>> | undefined> {
  try {
    return (await streamInfo(nats, stream)).config;
  } catch (error) {
    if (isRefusal(error, errorCode.streamNotFound)) return undefined;
    throw error;
  }
}

function differs(wanted: Readonly<Record<string, unknown>>, found: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(wanted).some(([key, value]) => JSON.stringify(value) !== JSON.stringify(found[key]));
}

/** Tells this stream from another of the same name: one made anew starts its sequences again. */
export const streamId = ({ created }: StreamInfo): string => sha256Hex(created).slice(0, 16);
