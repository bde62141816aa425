import type { Waiting } from "#hub/decide/inputs.ts";
import type { RolloutRecord } from "#hub/decide/record.ts";
import type { Known } from "#hub/view/query.ts";
import type { SeenDrift, SeenStatus } from "#hub/view/view.ts";
import type { ClusterRow, HealthWord } from "#proto/api.ts";
import type { DesiredState, Entry } from "#proto/desired-state.ts";
import type { Refusal } from "#proto/gen/plumbline/agent/v1/agent.ts";
import type { ApplicationName, BundleDigest, ClusterId, EnvironmentName, Revision } from "#proto/ids.ts";
import type { ObjectRef } from "#proto/object.ts";

/** What the view knows, with what was signed and proved. */
export type WhyKnown = Known & {
  readonly document: (cluster: ClusterId) => DesiredState | undefined;
  /** Identities of a bundle's objects, as long as this hub has rendered it. */
  readonly bundleKeys: (digest: BundleDigest) => readonly string[] | undefined;
  readonly rollouts: readonly RolloutRecord[];
};

export type Question = {
  readonly application: string;
  readonly cluster?: string | undefined;
  readonly environment?: string | undefined;
  readonly object?: string | undefined;
};

/** A commit as Git tells it. `actor` and `reason` are the hub's own word, of commits that it signed. */
export type ToldCommit = {
  readonly commit: string;
  readonly author: string;
  readonly atMs: number;
  readonly subject: string;
  readonly actor: string;
  readonly reason: string;
};

/** What Git says, asked when the question is known. */
export type Told = {
  source(application: ApplicationName, revision: Revision): Promise<ToldCommit | undefined>;
  /** The last change of a file of the fleet repository. */
  file(path: string): Promise<ToldCommit | undefined>;
};

/** What a question is about. */
export type Scope = {
  readonly application: ApplicationName;
  readonly environment: EnvironmentName;
  readonly cluster: ClusterId | undefined;
  /** Clusters of the environment besides, when it was asked about as a whole. */
  readonly others: readonly { readonly cluster: ClusterId; readonly health: HealthWord }[] | undefined;
  readonly object: ObjectRef | undefined;
};

/** Everything that a chain is told from, as plain values. */
export type Facts = {
  readonly nowMs: number;
  readonly scope: Scope;
  /** Undefined without a cluster. */
  readonly cluster: ClusterRow | undefined;
  readonly revokedBecause: string;
  /** A Cluster's labels and what the environment selects by, when the one does not match the other. */
  readonly unselected: string;
  readonly follows: string;
  readonly promotedFrom: readonly string[];
  readonly isQualified: boolean;
  /** The last revision that this environment completed before the one that is asked for. */
  readonly before: string;
  /** Asked for by a Promotion; empty where a branch is followed. */
  readonly asked: string;
  readonly source: ToldCommit | undefined;
  readonly promotion: ToldCommit | undefined;
  readonly waiting: readonly Waiting[];
  readonly document: DesiredState | undefined;
  readonly entry: Entry | undefined;
  readonly status: SeenStatus | undefined;
  readonly health: HealthWord;
  /** Objects changed by the newest receipt of the entry's digest. */
  readonly changed: { readonly objects: number; readonly atMs: number } | undefined;
  readonly drift: readonly SeenDrift[];
  readonly refusal: { readonly refusal: Refusal; readonly atMs: number } | undefined;
};

/** A question that has no answer, and what to ask instead. */
export type Refused = {
  readonly ok: false;
  readonly status: 400 | 404;
  readonly message: string;
  readonly advice: string;
};

export const refused = (status: Refused["status"], message: string, advice: string): Refused => ({
  ok: false,
  status,
  message,
  advice,
});

/** What happens next, and what to do about it. */
export type Next = { readonly next: string; readonly commands: readonly string[] };

export const short = (revision: string): string => revision.slice(0, 7);
