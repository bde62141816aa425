import type { ApplicationName, BlobAddress, ClusterId } from "#proto/ids.ts";

/** Streams of the hub's account; agents cannot see them. */
export const streams = {
  desired: "PLB_DESIRED",
  blobs: "PLB_BLOBS",
  status: "PLB_STATUS",
  events: "PLB_EVENTS",
} as const;

/** Every subject of Plumbline, spelled once. All tokens are DNS labels or hex, so none needs escaping. */
export const subjects = {
  lease: "plb.lease.hub",
  desired: (cluster: ClusterId) => `plb.desired.${cluster}`,
  anyDesired: "plb.desired.*",
  blob: (address: BlobAddress, slice: number) => `plb.blob.${address}.${slice}`,
  anyBlob: "plb.blob.*.*",
  status: (cluster: ClusterId, application: ApplicationName) => `plb.status.${cluster}.${application}`,
  anyStatus: "plb.status.*.*",
  event: (type: string, cluster: ClusterId | "hub") => `plb.events.${type}.${cluster}`,
  anyEvent: "plb.events.*.*",
  /** What an agent asks for: service imports of Direct Get in its account. */
  getDesired: (cluster: ClusterId) => `plb.get.desired.${cluster}`,
  getBlob: (address: BlobAddress, slice: number) => `plb.get.blob.${address}.${slice}`,
  /** What an agent hears: a stream import of PLB_DESIRED's RePublish, headers only. */
  notify: (cluster: ClusterId) => `plb.notify.${cluster}`,
  inbox: (cluster: ClusterId) => `_INBOX.${cluster}`,
} as const;
