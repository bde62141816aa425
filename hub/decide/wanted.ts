import type { EntryKey } from "#proto/desired-state.ts";
import type { EnvironmentName, Revision } from "#proto/ids.ts";
import {
  describeFollow,
  followOf,
  keyOf,
  type DeclaredEnvironment,
  type DeclaredFreeze,
  type Follow,
  type Inputs,
  type SignatureAsk,
} from "./inputs.ts";
import { grouped } from "./grouped.ts";
import { recordOf } from "./prove.ts";
import { unsignedRevision } from "./signatures.ts";
import type { RolloutRecord } from "./record.ts";

/**
 * `go`: clusters may take this revision. `stay`: they keep what their signed state says; a cluster that has nothing yet
 * gets `joiners`, the revision that the environment completed last.
 */
export type Wanted =
  | { readonly kind: "go"; readonly revision: Revision; readonly allowPrune: string }
  | {
      readonly kind: "stay";
      readonly because: string;
      readonly joiners: Revision | undefined;
      /** Signatures that have to be looked at before more can be said. */
      readonly examine?: readonly SignatureAsk[];
    };

const promotionsOf = grouped<Inputs["promotions"][number]>(keyOf);

type Proved = (environment: EnvironmentName) => RolloutRecord;

/** Which revision an environment's clusters may run now, and if not the asked one, why. */
export function wantedRevision(
  key: EntryKey,
  environment: DeclaredEnvironment,
  inputs: Inputs,
  proved: Proved,
): Wanted {
  // What cannot be read may be a Promotion that asks for something else, or a Removal: a new cluster starts nothing either.
  if (environment.unreadable.length > 0)
    return { kind: "stay", because: environment.unreadable.join("; "), joiners: undefined };
  const asked = askedRevision(key, environment, inputs, proved);
  const completed = recordOf(key, inputs).completed;
  const stay = (because: string) => ({ kind: "stay" as const, because, joiners: completed.at(-1) });
  if (typeof asked === "string") return stay(asked);
  const freeze = freezeOf(key, inputs);
  if (freeze) return stay(`frozen by ${freeze.name}: ${freeze.reason}`);
  // A way back is never gated: what this environment has completed may return at once.
  const closed = completed.includes(asked.revision) ? undefined : closedGate(key, environment, asked.revision, proved);
  if (closed !== undefined) return stay(closed);
  const unsigned = unsignedRevision(key, environment, asked, inputs);
  if (unsigned !== undefined) return { ...stay(unsigned.because), examine: unsigned.examine };
  return { kind: "go", revision: asked.revision, allowPrune: asked.allowPrune };
}

/** The first freeze that holds a whole (environment, application). */
export const freezeOf = (key: EntryKey, inputs: Inputs): DeclaredFreeze | undefined =>
  inputs.freezes.find((freeze) => freeze.clusters.length === 0 && freezes(freeze, key, inputs.nowMs));

export const freezes = (freeze: DeclaredFreeze, key: EntryKey, nowMs: number): boolean =>
  (freeze.untilMs === null || nowMs < freeze.untilMs) &&
  (freeze.environments.length === 0 || freeze.environments.includes(key.environment)) &&
  (freeze.applications.length === 0 || freeze.applications.includes(key.application));

/** `file` holds the document that asks, if one does. */
type Asked = {
  readonly revision: Revision;
  readonly allowPrune: string;
  readonly file: string | undefined;
  readonly follow?: Follow;
};

/** A sentence when nothing is asked for. */
function askedRevision(
  key: EntryKey,
  environment: DeclaredEnvironment,
  inputs: Inputs,
  proved: Proved,
): Asked | string {
  const { revisions } = environment;
  const promotions = promotionsOf(inputs.promotions, keyOf(key));
  if ("follow" in revisions) {
    const follow = followOf(inputs.applications.get(key.application), revisions.follow);
    const head = inputs.head(key.application, follow);
    if (head === undefined) return `${describeFollow(follow)} of ${key.application} is not known`;
    if (typeof head !== "string") return head.because;
    // Of a branch's own head, a Promotion only says that it may prune.
    const consent = promotions.find((promotion) => promotion.revision === head);
    return { revision: head, allowPrune: consent?.allowPrune ?? "", file: consent?.file, follow };
  }
  if (promotions.length > 1) return `${promotions.length} Promotions name ${keyOf(key)}: keep one`;
  const [promotion] = promotions;
  if (promotion) return { revision: promotion.revision, allowPrune: promotion.allowPrune ?? "", file: promotion.file };
  const automatic = revisions.auto ? newestQualified(revisions.promotedFrom, proved) : undefined;
  return automatic === undefined
    ? `nothing is promoted to ${key.environment} yet`
    : { revision: automatic, allowPrune: "", file: undefined };
}

function newestQualified(from: readonly EnvironmentName[], proved: Proved): Revision | undefined {
  const [first, ...others] = from.map((environment) => proved(environment).qualified);
  return first?.findLast((revision) => others.every((qualified) => qualified.includes(revision)));
}

function closedGate(
  key: EntryKey,
  environment: DeclaredEnvironment,
  revision: Revision,
  proved: Proved,
): string | undefined {
  const short = revision.slice(0, 7);
  if (environment.closedGates.length > 0) return `${short} waits: ${environment.closedGates.join("; ")}`;
  if ("follow" in environment.revisions) return undefined;
  const missing = environment.revisions.promotedFrom.filter((from) => !proved(from).qualified.includes(revision));
  if (missing.length === 0) return undefined;
  return `${short} waits for healthy receipts of ${key.application} from every heard cluster of ${missing.join(" and ")}`;
}
