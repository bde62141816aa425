import type { Json } from "#proto/object.ts";
import { substitute, type Parameters } from "./select.ts";

export type SubstitutedValues =
  | { readonly ok: true; readonly value: Json; readonly perCluster: boolean }
  | {
      readonly ok: false;
      /** Where in the value: `ingress.hosts[0]`. */ readonly at: string;
      readonly problem: string;
    };

/** Fills the parameters of every string in a value; keys stay as they are. Says where the first problem lies. */
export function substituteValues(value: Json, parameters: Parameters, at = ""): SubstitutedValues {
  if (typeof value === "string") {
    const filled = substitute(value, parameters);
    if (!filled.ok) return { ok: false, at, problem: filled.problem };
    return { ok: true, value: filled.text, perCluster: filled.perCluster };
  }
  if (value === null || typeof value !== "object") return { ok: true, value, perCluster: false };
  const isList = Array.isArray(value);
  const members: [string, Json][] = [];
  let perCluster = false;
  for (const [key, member] of Object.entries(value)) {
    const inside = isList ? `${at}[${key}]` : at === "" ? key : `${at}.${key}`;
    const filled = substituteValues(member, parameters, inside);
    if (!filled.ok) return filled;
    perCluster ||= filled.perCluster;
    members.push([key, filled.value]);
  }
  const filled = isList ? members.map(([, member]) => member) : Object.fromEntries(members);
  return { ok: true, value: filled, perCluster };
}
