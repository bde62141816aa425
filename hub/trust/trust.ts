import type { Follow, SignatureAsk } from "#hub/decide/inputs.ts";
import type { Fleet } from "#hub/fleet/fleet.ts";
import { GitFailed } from "#hub/git/command.ts";
import type { Mirror } from "#hub/git/mirror.ts";
import type { RawCommit } from "#hub/git/raw-commits.ts";
import { reasonOf } from "#lib/log.ts";
import { remember } from "#lib/remember.ts";
import type { Promoter } from "#proto/api.ts";
import type { ApplicationName, Revision } from "#proto/ids.ts";
import { describeCommit, hubName, judge, type Trust } from "./gate.ts";
import { promoterOf } from "./promoter.ts";
import { identityOf, type SignerKeys } from "./signer-keys.ts";
import type { Verdict } from "./verdict.ts";
import { verifyMany, verifyTag } from "./verify-many.ts";

/** Verdicts kept: 100 bytes each. */
const keptVerdicts = 100_000;
/** Answers kept: one a revision that some environment asks for. */
const keptAnswers = 10_000;

type SignedSource = {
  readonly url: string;
  readonly mirror: Mirror;
  /** The branch, or `refs/tags/NAME`, that is followed. */
  readonly branchOf: (follow: Follow) => string;
};

type RevisionAsk = Extract<SignatureAsk, { kind: "revision" }>;

export type TrustParts = {
  readonly fleetSource: SignedSource;
  readonly sourceOf: (fleet: Fleet, application: ApplicationName) => SignedSource | undefined;
  /** "ssh-ed25519 AAAA...", with which the hub signs its commits to the fleet repository. */
  readonly hubKey: string;
  readonly signal: AbortSignal;
};

/** What signatures prove, worked out once for each commit and each set of keys. */
export type TrustStore = {
  /** Undefined until it was examined. */
  answer(ask: SignatureAsk, fleet: Fleet, fleetCommit: Revision): Trust | undefined;
  examine(asks: readonly SignatureAsk[], fleet: Fleet, fleetCommit: Revision): Promise<void>;
  /** What could not be looked at before is looked at again. */
  retry(): void;
  /** Who made these commits of the fleet repository, in order. */
  promoters(commits: readonly Revision[], fleet: Fleet): Promise<Promoter[]>;
};

export function createTrust(parts: TrustParts): TrustStore {
  const { fleetSource, hubKey, signal } = parts;
  const answers = new Map<string, Trust>();
  const verdicts = new Map<string, Verdict>();
  const failures = new Map<string, Trust>();
  const hub: SignerKeys = { name: hubName, ssh: [`hub ${hubKey}`], pgp: [] };

  /** The hub commits to the fleet repository alone. */
  const keysFor = (source: SignedSource, signers: readonly SignerKeys[]): readonly SignerKeys[] =>
    source.url === fleetSource.url ? [...signers, hub] : signers;

  const verdictsOf = async (commits: readonly RawCommit[], signers: readonly SignerKeys[]): Promise<Verdict[]> => {
    const keys = identityOf(signers);
    const keyOf = ({ id }: RawCommit): string => `${id} ${keys}`;
    const missing = commits.filter((commit) => !verdicts.has(keyOf(commit)));
    const found = await verifyMany(missing, signers, signal);
    const fresh = new Map(missing.map((commit, n) => [keyOf(commit), found[n]!]));
    const all = commits.map((commit) => verdicts.get(keyOf(commit)) ?? fresh.get(keyOf(commit))!);
    for (const [key, verdict] of fresh) remember(verdicts, key, verdict, keptVerdicts);
    return all;
  };

  /** Whoever may push a tag chooses among all commits that were ever signed: the tag itself is what has to be. */
  const judgeTag = async (ask: RevisionAsk, signers: SignerKeys[], source: SignedSource): Promise<Trust> => {
    const { mirror } = source;
    const name = source.branchOf(ask.tags!).replace(/^refs\/tags\//, "");
    const object = (await mirror.refs()).tagObjects.get(name);
    const raw = object === undefined ? undefined : await mirror.tagObject(object);
    const who = signers.map((signer) => signer.name).join(", ");
    const advice = `sign it with a key of ${who} (git tag -f -s ${name} ${ask.revision.slice(0, 7)})`;
    if (raw === undefined) return { kind: "refused", because: `tag ${name} is not signed: ${advice}` };
    const verdict = await verifyTag(raw, { name, commit: ask.revision }, signers, signal);
    if (verdict.kind === "refused") return { kind: "refused", because: `tag ${name} ${verdict.because}: ${advice}` };
    return ask.require === "head" ? { kind: "trusted", by: verdict.by } : judgeRevision(ask, signers, source);
  };

  const judgeRevision = (ask: RevisionAsk, signers: SignerKeys[], source: SignedSource) =>
    judge(ask.revision, {
      require: ask.require,
      signers: signers.map(({ name }) => name),
      since: ask.since,
      walk: (tip, options) => source.mirror.walk(tip, options),
      verdicts: (commits) => verdictsOf(commits, keysFor(source, signers)),
    });

  /** The commit that last changed the file in which something is asked for. */
  const judgeRequest = async (file: string, signers: SignerKeys[], fleetCommit: Revision): Promise<Trust> => {
    const changed = await fleetSource.mirror.lastChange(fleetCommit, file);
    if (changed === undefined) return { kind: "refused", because: `${file} is not in the fleet repository any more` };
    const [commit] = (await fleetSource.mirror.walk(changed, { since: [], limit: 1 })).commits;
    const [verdict] = await verdictsOf([commit!], keysFor(fleetSource, signers));
    if (verdict!.kind === "signed") return { kind: "trusted", by: verdict!.by };
    const who = signers.map(({ name }) => name).join(", ");
    const advice = `ask through plumb, or change ${file} in a commit signed with a key of ${who}`;
    return {
      kind: "refused",
      because: `${describeCommit(commit!)}, which changed ${file}, ${verdict!.because}: ${advice}`,
    };
  };

  const look = async (ask: SignatureAsk, fleet: Fleet, fleetCommit: Revision): Promise<Trust> => {
    const { signers } = keysOf(ask, fleet);
    if (ask.kind === "request") return judgeRequest(ask.file, signers, fleetCommit);
    const source = parts.sourceOf(fleet, ask.application);
    if (source === undefined)
      return { kind: "refused", because: `the repository of ${ask.application} is not followed` };
    return (ask.tags === undefined ? judgeRevision : judgeTag)(ask, signers, source);
  };

  const keyOf = (ask: SignatureAsk, fleet: Fleet, fleetCommit: Revision): string => {
    const { identity } = keysOf(ask, fleet);
    if (ask.kind === "request") return JSON.stringify([fleetCommit, ask.file, identity]);
    const source = parts.sourceOf(fleet, ask.application);
    const tag = ask.tags && source?.branchOf(ask.tags);
    return JSON.stringify([source?.url, ask.revision, ask.require, tag, ask.since.toSorted(), identity]);
  };

  return {
    answer(ask, fleet, fleetCommit) {
      const key = keyOf(ask, fleet, fleetCommit);
      return answers.get(key) ?? failures.get(key);
    },
    async examine(asks, fleet, fleetCommit) {
      for (const ask of asks) {
        const key = keyOf(ask, fleet, fleetCommit);
        if (answers.has(key)) continue;
        try {
          const trust = await look(ask, fleet, fleetCommit);
          // A tag may be signed anew at the commit where it is.
          if (trust.kind === "refused" && ask.kind === "revision" && ask.tags !== undefined) failures.set(key, trust);
          else remember(answers, key, trust, keptAnswers);
        } catch (error) {
          signal.throwIfAborted();
          const what = ask.kind === "revision" ? `${ask.revision.slice(0, 7)} of ${ask.application}` : ask.file;
          const why = error instanceof GitFailed ? "it is not in the repository, or cannot be read" : reasonOf(error);
          failures.set(key, { kind: "refused", because: `the signatures of ${what} cannot be checked: ${why}` });
        }
      }
    },
    retry: () => failures.clear(),
    async promoters(ids, fleet) {
      const commits = await fleetSource.mirror.rawCommits(ids);
      const found = await verdictsOf(commits, keysFor(fleetSource, [...fleet.signers.values()]));
      return commits.map((commit, n) => promoterOf(commit, found[n]!));
    },
  };
}

type Keys = { readonly signers: SignerKeys[]; readonly identity: string };
/** OpenPGP keys are long, and every decision asks for them. */
const known = new WeakMap<Fleet, Map<string, Keys>>();

/** Whose signatures an environment takes. One that is not declared any more lets nobody in. */
function keysOf({ environment }: SignatureAsk, fleet: Fleet): Keys {
  const own = known.get(fleet) ?? new Map<string, Keys>();
  known.set(fleet, own);
  const found = own.get(environment);
  if (found !== undefined) return found;
  const names = fleet.environments.get(environment)?.signatures.signers ?? [];
  const signers = names.flatMap((name) => fleet.signers.get(name) ?? []);
  const keys = { signers, identity: identityOf(signers) };
  own.set(environment, keys);
  return keys;
}
