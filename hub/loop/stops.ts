import type { Revision } from "#proto/ids.ts";

/** A branch or tag whose history is not what it was: what follows it stays where it is until people say otherwise. */
export type Stop = {
  readonly repository: string;
  /** A tag is `refs/tags/NAME`. */
  readonly branch: string;
  /** What it stays at. */
  readonly from: Revision;
  readonly sinceMs: number;
} & (
  | { readonly kind: "rewritten" | "behind" | "moved"; readonly to: Revision }
  /** A hub that started anew finds a head that does not follow from what clusters were given. */
  | { readonly kind: "unproved"; readonly to: Revision; readonly lost: readonly Revision[] }
  | { readonly kind: "deleted" }
);

/** A replica of the remote may be behind for a moment: nobody is alarmed before this. */
export const rewoundAlarmMs = 10 * 60_000;

const words = {
  rewritten: "HistoryRewritten",
  unproved: "HistoryRewritten",
  behind: "Rewound",
  moved: "TagMoved",
  deleted: "Deleted",
} as const satisfies Record<Stop["kind"], string>;

/** One sentence for people: what is seen, what is kept, what to do. */
export function describeStop(stop: Stop): string {
  const { repository, branch } = stop;
  const tag = branch.startsWith("refs/tags/");
  const what = `${tag ? `tag ${branch.slice("refs/tags/".length)}` : `branch ${branch}`} of ${repository}`;
  return `${words[stop.kind]}: ${what} ${seen(stop, tag)}`;
}

function seen(stop: Stop, tag: boolean): string {
  const from = stop.from.slice(0, 7);
  const accept = `plumb accept-rewrite ${stop.repository} ${stop.branch}`;
  const kept = `${from} is kept until ${accept}`;
  switch (stop.kind) {
    case "rewritten":
      return `is at ${stop.to.slice(0, 7)}, which does not follow from ${from}: ${kept}`;
    case "unproved":
      return `is at ${stop.to.slice(0, 7)}, which does not follow from ${from}, which clusters were given: what they run is kept until ${accept}`;
    case "behind":
      return `is at ${stop.to.slice(0, 7)}, which is behind ${from}: ${kept}, or until it is pushed again`;
    case "moved":
      return `names ${stop.to.slice(0, 7)}, and named ${from}: ${kept}`;
    case "deleted":
      return tag ? `is gone: ${kept}` : `is gone: ${from} is kept until it is pushed again`;
  }
}

/** Whether people are to be told now, beside the environments that wait. */
export const isAlarm = (stop: Stop, nowMs: number): boolean =>
  stop.kind !== "behind" || nowMs - stop.sinceMs >= rewoundAlarmMs;
