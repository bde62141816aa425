import type { AgentKeys, DraftKeys } from "#agent/enrol/keys.ts";
import type { Credentials } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { clusterId } from "#proto/ids.ts";

/** Keys with what the hub granted. The pinned root never changes: what a renewal says of it is not taken over. */
export const withCredentials = (keys: DraftKeys & { rootKey?: Uint8Array }, granted: Credentials): AgentKeys => ({
  ...keys,
  cluster: clusterId(granted.cluster),
  certificatePem: granted.certificatePem,
  caPem: granted.caPem,
  natsJwt: granted.natsJwt,
  natsUrls: granted.natsUrls,
  rootKey: keys.rootKey ?? granted.rootKey,
  notAfterMs: Number(granted.notAfterMs),
});
