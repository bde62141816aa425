import { createHmac } from "node:crypto";
import { fieldManager } from "#agent/cluster/cluster.ts";
import { canonicalJson } from "#proto/json.ts";
import { groupOf, type Json, type KubeObject, type ManagedFieldsEntry } from "#proto/object.ts";
import { normalForm } from "./baseline.ts";
import { ownedPaths, ownedValues, ownEntry } from "./fields.ts";
import { isWithin, valueAt } from "./paths.ts";
import type { ForeignField } from "./foreign.ts";

export type FieldDrift = { readonly path: string; readonly before: string; readonly after: string };

export type Explanation = {
  readonly fields: readonly FieldDrift[];
  /** Field manager of the change: a tool's claim, never a user. */
  readonly tool: string;
  /** Second of the change; 0 when unknown. */
  readonly changedAtMs: number;
};

export const unknownTool = "unknown (admission or a forged entry)";
const largestShownBytes = 256;

/**
 * How `seen` differs from `answer`, the server's answer to our (dry-run or healing) apply, at the paths that we own.
 * Undefined when it does not: then only ownership drifted. `salt` keys the digests that stand for hidden values.
 */
export function driftOf(answer: KubeObject, seen: KubeObject, salt: string): Explanation | undefined {
  const fields = ownEntry(answer)?.fieldsV1 ?? {};
  const before = ownedValues(fields, answer);
  const after = ownedValues(fields, seen);
  const changed = before.flatMap(({ path, value }, index) => {
    const other = after[index]?.value;
    return canonicalJson(normalForm(value)) === canonicalJson(normalForm(other)) ? [] : [{ path, value, other }];
  });
  if (changed.length === 0) return undefined;
  const show = (value: Json | undefined) => shown(value, isSecret(answer), salt);
  return {
    fields: changed.map(({ path, value, other }) => ({ path, before: show(value), after: show(other) })),
    ...changerOf(
      seen,
      changed.map(({ path }) => path),
    ),
  };
}

/** Fields of others that are taken away, in the words of drift. */
export function explainForeign(object: KubeObject, fields: readonly ForeignField[], salt: string): FieldDrift[] {
  return fields.map(({ path }) => ({ path, before: "", after: shown(valueAt(object, path), isSecret(object), salt) }));
}

/**
 * Whoever owns the changed paths now; the newest of several. What our own entry still names was changed by no write that
 * the server tracked, or it would name it no more: whoever owns it besides has not changed it.
 */
function changerOf(seen: KubeObject, changed: readonly string[]): { tool: string; changedAtMs: number } {
  const own = new Set(ownedValues(ownEntry(seen)?.fieldsV1 ?? {}, seen).map(({ path }) => path));
  const paths = changed.filter((path) => !own.has(path));
  const entries = (seen.metadata.managedFields ?? []).filter(
    (entry) => entry.manager !== fieldManager || entry.operation !== "Apply",
  );
  const changers = entries.filter((entry) => owns(entry, paths)).sort((a, b) => timeOf(b) - timeOf(a));
  const changer = changers[0];
  return changer === undefined
    ? { tool: unknownTool, changedAtMs: 0 }
    : { tool: changer.manager, changedAtMs: timeOf(changer) };
}

function owns(entry: ManagedFieldsEntry, paths: readonly string[]): boolean {
  const owned = ownedPaths(entry.fieldsV1 ?? {});
  // Who owns an empty value around it has nothing of what is in it.
  return owned.some((path) => paths.some((changed) => isWithin(path, changed)));
}

const timeOf = (entry: ManagedFieldsEntry): number => Date.parse(entry.time ?? "") || 0;

const isSecret = (object: KubeObject): boolean => object.kind === "Secret" && groupOf(object.apiVersion) === "";

function shown(value: Json | undefined, hidden: boolean, salt: string): string {
  const normal = normalForm(value);
  if (normal === null) return "";
  const text = typeof normal === "string" ? normal : canonicalJson(normal);
  if (!hidden && Buffer.byteLength(text) <= largestShownBytes) return text;
  return `hmac-sha256:${createHmac("sha256", salt).update(text).digest("hex").slice(0, 16)}`;
}
