import type { RawCommit } from "#hub/git/raw-commits.ts";
import type { Promoter } from "#proto/api.ts";
import { hubName } from "./gate.ts";
import { readCommit } from "./signed-object.ts";
import type { Verdict } from "./verdict.ts";

const actorLine = /^Plumbline-Actor: (.+)$/m;

/** Who made a commit. Trailers count in the hub's own commits alone: anybody can write them into theirs. */
export function promoterOf({ id, raw }: RawCommit, verdict: Verdict): Promoter {
  const { by, message } = readCommit(id, raw);
  if (verdict.kind === "refused") return { kind: "unknown", claims: by, because: verdict.because };
  if (verdict.by !== hubName) return { kind: "known", name: verdict.by, through: "signature" };
  const actor = actorLine.exec(message)?.[1];
  return actor === undefined
    ? { kind: "unknown", claims: by, because: "is the hub's own" }
    : { kind: "known", name: actor, through: "api" };
}
