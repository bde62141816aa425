import type { CommitWalk, RawCommit, WalkOptions } from "#hub/git/raw-commits.ts";
import type { Revision } from "#proto/ids.ts";
import { readCommit } from "./signed-object.ts";
import type { Verdict } from "./verdict.ts";

/** More commits than this since the last trusted one want a Promotion in between. */
export const walkLimit = 10_000;
/** The hub's own commits that may lie on top of a person's. */
const ownCommitsLimit = 1_000;
/** Of the hub's own commits; no Signer can have it, since their names are DNS labels. */
export const hubName = "the hub";

export type Trust =
  /** Whose signature it was. */
  | { readonly kind: "trusted"; readonly by: string }
  /** Which commit it is, by whom it claims to be, what is wrong, and what to do, in a sentence for people. */
  | { readonly kind: "refused"; readonly because: string };

export type Gate = {
  readonly require: "head" | "all";
  /** Names of those whose signature counts. */
  readonly signers: readonly string[];
  /** Commits that were trusted before: nothing up to them is looked at again. */
  readonly since: readonly Revision[];
  readonly walk: (tip: Revision, options: WalkOptions) => Promise<CommitWalk>;
  readonly verdicts: (commits: readonly RawCommit[]) => Promise<readonly Verdict[]>;
};

type Judged = RawCommit & { readonly verdict: Verdict };

/**
 * Whether an environment may take this commit. `head` asks for its own signature, or, under commits that the hub made on
 * top, for that of the newest commit of a person; `all` for that of every commit since a trusted one. With nothing
 * trusted yet, the head's signature stands for all that came before it.
 */
export async function judge(tip: Revision, gate: Gate): Promise<Trust> {
  if (gate.since.includes(tip)) return { kind: "trusted", by: "" };
  return gate.require === "all" && gate.since.length > 0 ? judgeAll(tip, gate) : judgeHead(tip, gate);
}

async function judgeHead(tip: Revision, gate: Gate): Promise<Trust> {
  const [head] = await judged(await gate.walk(tip, { since: [], limit: 1 }), gate);
  if (head!.verdict.kind === "refused") return refusal([head!], gate);
  if (head!.verdict.by !== hubName) return { kind: "trusted", by: head!.verdict.by };
  // The hub vouches for its own change and not for what it found on the branch.
  const line = new Map(
    (await judged(await gate.walk(tip, { since: [], limit: ownCommitsLimit }), gate)).map((one) => [one.id, one]),
  );
  for (let at: string | undefined = tip; at !== undefined;) {
    const one = line.get(at as Revision);
    if (one === undefined)
      return {
        kind: "refused",
        because: `more than ${ownCommitsLimit} of the hub's own commits lie on top: ${adviceOf(gate)}`,
      };
    if (gate.since.includes(one.id)) return { kind: "trusted", by: hubName };
    if (one.verdict.kind === "refused") return refusal([one], gate);
    if (one.verdict.by !== hubName) return { kind: "trusted", by: one.verdict.by };
    at = readCommit(one.id, one.raw).parents[0];
  }
  return { kind: "trusted", by: hubName };
}

async function judgeAll(tip: Revision, gate: Gate): Promise<Trust> {
  const walk = await gate.walk(tip, { since: gate.since, limit: walkLimit });
  if (walk.isCut)
    return {
      kind: "refused",
      because: `it is more than ${walkLimit} commits after the last trusted one: take a commit in between first`,
    };
  const commits = await judged(walk, gate);
  const vouched = new Set(commits.flatMap(vouchedBy));
  const refused = commits.filter(({ id, verdict }) => verdict.kind === "refused" && !vouched.has(id));
  if (refused.length > 0) return refusal(refused, gate);
  const head = commits.find(({ id }) => id === tip)?.verdict;
  return { kind: "trusted", by: head?.kind === "signed" ? head.by : "" };
}

async function judged({ commits }: CommitWalk, gate: Gate): Promise<Judged[]> {
  const verdicts = await gate.verdicts(commits);
  return commits.map((commit, n) => ({ ...commit, verdict: verdicts[n]! }));
}

/** A signer may answer for commits that nobody can sign any more, by their whole ids, in a commit that is signed. */
const vouchLine = /^Plumbline-Vouches-For: ([0-9a-f]{40}|[0-9a-f]{64})$/gm;

function vouchedBy({ id, raw, verdict }: Judged): string[] {
  if (verdict.kind === "refused" || verdict.by === hubName || !raw.includes("Plumbline-Vouches-For: ")) return [];
  return [...readCommit(id, raw).message.matchAll(vouchLine)].map(([, commit]) => commit!);
}

/** The oldest first: it is the one to begin with. */
function refusal(refused: readonly Judged[], gate: Gate): Trust {
  const oldest = refused.at(-1)!;
  const more = refused.length === 1 ? "" : ` (and ${refused.length - 1} more)`;
  const because = oldest.verdict.kind === "refused" ? oldest.verdict.because : "";
  return { kind: "refused", because: `${describeCommit(oldest)} ${because}${more}: ${adviceOf(gate, oldest.id)}` };
}

function adviceOf({ require, signers }: Gate, commit?: string): string {
  const who = `a key of ${signers.slice(0, 5).join(", ")}${signers.length > 5 ? ` or ${signers.length - 5} more` : ""}`;
  if (require === "head" || commit === undefined) return `push a commit on top that is signed with ${who}`;
  return `sign it again with ${who}, or push a signed commit on top with the line "Plumbline-Vouches-For: ${commit}"`;
}

/** What it says of itself is in quotation marks: nobody has proved it. */
export function describeCommit({ id, raw }: RawCommit): string {
  const { by, message } = readCommit(id, raw);
  return `commit ${id.slice(0, 7)} (${shown(message.split("\n", 1)[0]!)}, says it is by ${shown(by)})`;
}

const shownLength = 60;
const shown = (text: string): string => {
  const plain = text.replaceAll(/[\p{Cc}\p{Cf}"]/gu, "");
  return `"${plain.length > shownLength ? `${plain.slice(0, shownLength - 1)}…` : plain}"`;
};
