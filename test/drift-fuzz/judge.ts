import { stringifyJson } from "#proto/json.ts";
import { DriftKind, DriftState, type Drift } from "#proto/gen/plumbline/agent/v1/agent.ts";
import type { KubeObject } from "#proto/object.ts";
import { changesBetween, shapeOf, type Change } from "./difference.ts";
import { base64, secretMark } from "./objects.ts";
import type { Asked } from "./oracle.ts";
import type { About, Disagreement, Step } from "./round.ts";

const unknownTool = "unknown (admission or a forged entry)";
/** One apply, and one update that takes `before-first-apply` away; one more for each edit that came after a heal. */
const mostWrites = 2;

/** Every point on which what the agent said and did is not what a dry-run apply says. */
export function disagreementsOf(step: Step): Disagreement[] {
  const last = step.asked.at(-1)!;
  return [
    ...verdictOf(step, last),
    ...settledness(step),
    ...step.drifts.flatMap((drift) => toolOf(step, drift)),
    ...foreignness(step),
    ...secrecy(step),
  ];
}

const disagree = (about: About, path: string, text: string): Disagreement => ({ about, path, text });
const isWithin = (path: string, root: string): boolean =>
  path === root || (path.startsWith(root) && [".", "["].includes(path.charAt(root.length)));
const isNear = (a: string, b: string): boolean => isWithin(a, b) || isWithin(b, a);

function verdictOf(step: Step, last: Asked): Disagreement[] {
  const told = step.drifts.flatMap(({ fields }) => fields.map(({ path }) => path));
  switch (last.kind) {
    case "gone":
      return step.drifts.some(({ kind, state }) => kind === DriftKind.DELETED && state === DriftState.HEALED)
        ? []
        : [disagree("missed", "", "deleted, and not told as healed")];
    case "refused":
      return step.drifts.some(({ reason }) => reason.startsWith("could not be healed"))
        ? []
        : [disagree("refusal", "", last.message)];
    case "answered": {
      // What an edit before the last changed may be told too.
      const everChanged = step.asked.flatMap((asked) => (asked.kind === "answered" ? asked.changes : []));
      const wasRefused = step.asked.some(({ kind }) => kind !== "answered");
      return [
        ...last.changes.flatMap((change) => unsaid(change, told)),
        ...told.flatMap((path) =>
          wasRefused || everChanged.some((change) => isNear(path, change.path))
            ? []
            : [disagree("invented", path, "told, and no apply would change it")],
        ),
        ...writesOf(step, last.changes.length === 0 && last.owners !== "ours"),
      ];
    }
  }
}

function unsaid({ path, from, to, owner }: Change, told: readonly string[]): Disagreement[] {
  if (told.some((one) => isNear(one, path))) return [];
  const text = `${stringifyJson(from ?? null)} would become ${stringifyJson(to ?? null)} (${owner})`;
  return [disagree(owner === "itself" ? "missed" : "beside", path, text)];
}

function writesOf({ writes, edits, passing, drifts }: Step, isNothing: boolean): Disagreement[] {
  if (isNothing && edits.length === 1 && passing.length === 0 && (writes > 0 || drifts.length > 0))
    return [disagree("writes", "", `${writes} writes and ${drifts.length} reports though nothing differed`)];
  if (!isNothing && writes === 0) return [disagree("writes", "", "no write though something differed")];
  return writes > mostWrites + edits.length ? [disagree("writes", "", `${writes} writes`)] : [];
}

function settledness({ drifts, asked, askedAfter }: Step): Disagreement[] {
  const isRefused = asked.some(({ kind }) => kind === "refused");
  const found: Disagreement[] = [];
  const open = new Map<string, Drift>();
  for (const drift of drifts) {
    if (drift.state === DriftState.HEALED || drift.state === DriftState.ENDED) open.delete(drift.episode);
    else open.set(drift.episode, drift);
  }
  for (const { reason, state } of open.values())
    if (!isRefused)
      found.push(disagree("unsettled", "", `an episode stays open (${nameOf(DriftState, state)}): ${reason}`));
  if (isRefused && askedAfter.kind === "refused") return found;
  if (askedAfter.kind !== "answered") return [...found, disagree("unsettled", "", `${askedAfter.kind} afterwards`)];
  for (const { path, from, to } of askedAfter.changes)
    found.push(
      disagree(
        "unsettled",
        path,
        `${stringifyJson(from ?? null)}, and an apply would make it ${stringifyJson(to ?? null)}`,
      ),
    );
  if (askedAfter.owners !== "same" && askedAfter.changes.length === 0)
    found.push(disagree("owners", "", `an apply would still change what is ${askedAfter.owners}`));
  return found;
}

/** The tool that is told must be one that did something here. */
function toolOf({ edits }: Step, { tool, kind, fields }: Drift): Disagreement[] {
  if (tool === "" || kind !== DriftKind.CHANGED) return [];
  const hands = new Set(
    edits.flatMap(({ verb, manager }) => (verb.includes("put back") ? [manager, "second"] : [manager])),
  );
  if (hands.has(tool)) return [];
  return [disagree("tool", fields[0]?.path ?? "", `told of ${tool}, done by ${[...hands].join(" and ")}`)];
}

/** Where a field of others is told. */
export const roots: readonly string[] = ["spec", "metadata.labels", "metadata.annotations", "data", "binaryData"];

/** What differs from the object as it was made, and is let be, must have been told; what is told must be there. */
function foreignness(step: Step): Disagreement[] {
  const { after, pristine, known, told, asked } = step;
  if (after === undefined || asked.some(({ kind }) => kind === "refused")) return [];
  const left = leftovers(pristine, after);
  return [
    ...left.flatMap(({ path, from, to }) =>
      [...known.keys()].some((one) => isNear(one, path))
        ? []
        : [disagree("foreign missed", path, `was ${stringifyJson(from ?? null)}, is ${stringifyJson(to ?? null)}`)],
    ),
    ...[...(told ?? [])].flatMap(([path, tool]) =>
      left.some((change) => isNear(change.path, path))
        ? []
        : [disagree("foreign invented", path, `told of ${tool}, and it is as it was made`)],
    ),
  ];
}

export const leftovers = (pristine: KubeObject, after: KubeObject): Change[] =>
  changesBetween(pristine, after, shapeOf(pristine, after), {}).filter(({ path }) =>
    roots.some((root) => isWithin(path, root)),
  );

function secrecy({ desired, drifts, known }: Step): Disagreement[] {
  if (desired.kind !== "Secret") return [];
  const said = stringifyJson([drifts, [...known]]);
  return [secretMark, base64(secretMark).slice(0, 12)]
    .filter((mark) => said.includes(mark))
    .map((mark) => disagree("secret told", "", mark));
}

/** The word of an enumeration's number. */
export const nameOf = (words: Readonly<Record<string, number>>, value: number): string =>
  Object.keys(words).find((word) => words[word] === value) ?? String(value);

export { unknownTool, isNear, isWithin };
