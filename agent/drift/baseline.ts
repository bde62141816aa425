import { canonicalJson, sha256Hex } from "#proto/json.ts";
import type { Json, JsonObject, KubeObject } from "#proto/object.ts";
import { ownedValues, ownEntry } from "./fields.ts";
import { shapeOf, type FieldShape } from "./shape.ts";

/** Raised when the normal form changes: a baseline of another format is made anew, and no drift is told from it. */
export const baselineFormat = 1;

/** What is kept of the server's answer to an apply: hashes, because values would cost 70 times the room. */
export type Baseline = {
  readonly format: number;
  readonly ownershipHash: string;
  readonly valueHash: string;
  /** Paths that were empty: only their ownership is checked, for the server may drop or fill them. */
  readonly empty: readonly string[];
};

export type Comparison = "same" | "valuesChanged" | "ownershipChanged" | "unknownFormat";

/** The baseline of an answer. `sent` adds the paths that we sent empty and the server filled from others. */
export function baselineOf(answer: KubeObject, sent?: KubeObject): Baseline {
  const fields = ownEntry(answer)?.fieldsV1 ?? {};
  const shape = shapeOf(fields);
  const values = shape.valuesIn(answer);
  const sentEmpty = new Set(sent === undefined ? [] : explicitlyEmpty(fields, sent));
  const paths = shape.paths.map(({ path }) => path);
  const empty = sharedEmpty(paths.filter((path, index) => isEmpty(values[index]) || sentEmpty.has(path)));
  return {
    format: baselineFormat,
    ownershipHash: shape.ownershipHash,
    valueHash: valueHash(shape, values, new Set(empty)),
    empty,
  };
}

const noPaths: readonly string[] = [];
/** Most objects have no such path: they share the one list of none. */
export const sharedEmpty = (empty: readonly string[]): readonly string[] => (empty.length === 0 ? noPaths : empty);

/** The quiet path: ownership first, because a lost path says more than a changed value. */
export function compare(baseline: Baseline, seen: KubeObject): Comparison {
  if (baseline.format !== baselineFormat) return "unknownFormat";
  const shape = shapeOf(ownEntry(seen)?.fieldsV1 ?? {});
  if (shape.ownershipHash !== baseline.ownershipHash) return "ownershipChanged";
  return valueHash(shape, shape.valuesIn(seen), new Set(baseline.empty)) === baseline.valueHash
    ? "same"
    : "valuesChanged";
}

/** Absent, null, {} and [] are one value: servers drop and add them at will. Within a value too. */
export function normalForm(value: Json | undefined): Json {
  if (Array.isArray(value)) return value.length === 0 ? null : value.map((item) => normalForm(item));
  if (typeof value !== "object" || value === null) return value ?? null;
  const members = Object.entries(value)
    .map(([name, inner]): [string, Json] => [name, normalForm(inner)])
    .filter(([, inner]) => inner !== null);
  return members.length === 0 ? null : Object.fromEntries(members);
}

/** Canonical JSON of the normal form, in one go: it is asked for at each apply and each event. */
export function normalText(value: Json | undefined): string {
  if (typeof value !== "object" || value === null) return canonicalJson(value ?? null);
  if (Array.isArray(value)) return value.length === 0 ? nothing : `[${value.map(normalText).join(",")}]`;
  let text = "";
  for (const name of Object.keys(value).sort()) {
    const member = normalText(value[name]);
    if (member !== nothing) text += `${text === "" ? "" : ","}${JSON.stringify(name)}:${member}`;
  }
  return text === "" ? nothing : `{${text}}`;
}

const nothing = "null";

/** Whether its normal form is null, without making it. */
export function isEmpty(value: Json | undefined): boolean {
  if (value === undefined || value === null) return true;
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === "object" && Object.values(value).every(isEmpty);
}

/** Of the canonical JSON of [path, normal form] of each path. */
function valueHash({ paths }: FieldShape, values: readonly (Json | undefined)[], empty: ReadonlySet<string>): string {
  const members = paths.flatMap(({ path, quoted }, index) =>
    empty.has(path) ? [] : [`[${quoted},${normalText(values[index])}]`],
  );
  return sha256Hex(`[${members.join(",")}]`);
}

function explicitlyEmpty(fields: JsonObject, sent: KubeObject): string[] {
  // Most objects hold nothing empty at all.
  if (!holdsEmpty(sent as Json)) return [];
  return ownedValues(fields, sent)
    .filter(({ value }) => value !== undefined && isEmpty(value))
    .map(({ path }) => path);
}

function holdsEmpty(value: Json): boolean {
  if (value === null) return true;
  if (typeof value !== "object") return false;
  const members = Array.isArray(value) ? value : Object.values(value);
  return members.length === 0 || members.some(holdsEmpty);
}
