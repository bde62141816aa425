import type { Fleet } from "#hub/fleet/fleet.ts";
import type { GitSigner } from "#hub/git/sign.ts";
import type { Identity } from "#hub/identity/identity.ts";
import type { RecordStore } from "#hub/loop/records.ts";
import type { Source } from "#hub/loop/sources.ts";
import type { Clock } from "#lib/clock.ts";
import type { ClusterId, Revision } from "#proto/ids.ts";

/** What actions need of the hub. */
export type ActionParts = {
  readonly identity: Identity;
  readonly signer: GitSigner;
  readonly fleetSource: Source;
  readonly branch: string;
  readonly folder: string;
  readonly fleet: () => Fleet;
  /** Reads the fleet's newest commit. */
  readonly refresh: () => Promise<void>;
  /** Decides once more with everything heard until now. */
  readonly round: () => Promise<void>;
  readonly sourceOf: (application: string) => Source | undefined;
  readonly sourceByName: (name: string) => Source | undefined;
  readonly webhookSecretFile: (repository: string) => string | undefined;
  readonly records: RecordStore;
  /** Whether any cluster has said that it runs, or holds, it. */
  readonly isReported: (application: string) => boolean;
  /** Revisions that documents of clusters name, of one repository; for the fleet's own, its commits too. */
  readonly inUse: (source: Source) => Iterable<Revision>;
  readonly revoked: (cluster: ClusterId, because: string) => Promise<void>;
  readonly grpcAddress: string;
  readonly agentImage: string;
  readonly clock: Clock;
};
