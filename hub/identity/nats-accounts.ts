import { streams } from "#proto/subjects.ts";

const unlimited = -1;
const limits = {
  subs: unlimited,
  data: unlimited,
  payload: unlimited,
  imports: unlimited,
  exports: unlimited,
  wildcards: true,
  conn: unlimited,
  leaf: 0,
};

// Direct Get with the subject at its end: the one form that a server can hold to a subject.
const directGet = (stream: string, subject: string): string => `$JS.API.DIRECT.GET.${stream}.${subject}`;

/** What the hub's account lends to agents, and under which subject they ask. The lease and the status stay outside. */
const lent = [
  { name: "desired", type: "service", subject: directGet(streams.desired, "plb.desired.*"), as: "plb.get.desired.*" },
  { name: "blobs", type: "service", subject: directGet(streams.blobs, "plb.blob.*.*"), as: "plb.get.blob.*.*" },
  { name: "notify", type: "stream", subject: "plb.notify.*", as: "plb.notify.*" },
] as const;

export const systemAccount = { type: "account", limits } as const;

export const hubAccount = (signingKey: string): { type: "account" } & Record<string, unknown> => ({
  type: "account",
  limits: { ...limits, disk_storage: unlimited, mem_storage: unlimited, streams: unlimited, consumer: unlimited },
  signing_keys: [signingKey],
  exports: lent.map(({ name, type, subject }) => ({
    name,
    type,
    subject,
    ...(type === "service" ? { response_type: "Singleton" } : {}),
  })),
});

/**
 * Agents in an account of their own, without JetStream: permissions check where a client publishes, not where it asks
 * for the reply, so in the hub's account an agent could have a read answered into another cluster's document.
 */
export const agentsAccount = (
  hub: string,
  signingKey: string,
  revocations: ReadonlyMap<string, number>,
): { type: "account" } & Record<string, unknown> => ({
  type: "account",
  limits: { ...limits, exports: 0 },
  signing_keys: [{ kind: "user_scope", key: signingKey, role: "agent", template: agentTemplate, description: "" }],
  imports: lent.map(({ name, type, subject, as }) => ({ name, type, subject, account: hub, local_subject: as })),
  revocations: Object.fromEntries(revocations),
});

/** `name()` is the cluster: whole tokens only, and ClusterId's alphabet has no wildcard. */
const agentTemplate = {
  pub: { allow: ["plb.get.desired.{{name()}}", "plb.get.blob.>"] },
  sub: { allow: ["_INBOX.{{name()}}.>", "plb.notify.{{name()}}"] },
  subs: 10,
  data: unlimited,
  payload: 4096,
  allowed_connection_types: ["STANDARD", "WEBSOCKET"],
};
