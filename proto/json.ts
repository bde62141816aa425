import { hash } from "node:crypto";
import type { Json } from "#proto/object.ts";

// Sixteen digits in a row are the fewest that can leave the safe integers; the common document has none and takes the
// fast path.
const mayHoldBigInteger = /\d{16}/;
const integer = /^-?\d+$/;

type Reviver = (key: string, value: unknown, context: { source?: string }) => unknown;
type LosslessJson = {
  parse(text: string, reviver: Reviver): unknown;
  rawJSON(text: string): unknown;
};
// TypeScript's library does not yet know these ES2026 members, which Node 24 has.
const lossless = JSON as unknown as LosslessJson;

/** JSON.parse that keeps integers beyond 2^53 exactly, as bigint. Throws SyntaxError. */
export function parseJson(text: string): Json {
  if (!mayHoldBigInteger.test(text)) return JSON.parse(text) as Json;
  return lossless.parse(text, (_key, value, { source }) =>
    typeof value === "number" && source !== undefined && !Number.isSafeInteger(value) && integer.test(source)
      ? BigInt(source)
      : value,
  ) as Json;
}

/** JSON.stringify that writes bigint as a plain integer. Keys stay in their order. */
export function stringifyJson(value: unknown, indent?: number): string {
  try {
    return JSON.stringify(value, undefined, indent);
  } catch (error) {
    // What JSON.stringify says of a bigint. To look for one first would cost each of the others several times the time.
    if (!(error instanceof TypeError)) throw error;
    return JSON.stringify(value, writingBigints, indent);
  }
}

const writingBigints = (_key: string, member: unknown): unknown =>
  typeof member === "bigint" ? lossless.rawJSON(member.toString()) : member;

/**
 * Canonical JSON: keys sorted by UTF-16 code units, no white space, numbers in ECMAScript's shortest form (RFC 8785),
 * bigint as digits. Equal values give equal text; undefined members are left out. Throws on NaN and infinities.
 */
export function canonicalJson(value: unknown): string {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value);
    case "boolean":
    case "bigint":
      return value.toString();
    case "number":
      if (!Number.isFinite(value)) throw new TypeError(`${value} is not a JSON number`);
      return JSON.stringify(value);
    case "object":
      if (value === null) return "null";
      return Array.isArray(value) ? canonicalArray(value) : canonicalObject(value as Record<string, unknown>);
    default:
      throw new TypeError(`${typeof value} is not a JSON value`);
  }
}

// Every object is written so at each apply and each event: no lists in between, and most keys are in their order already.
function canonicalArray(items: readonly unknown[]): string {
  let text = "";
  for (const item of items) text += `${text === "" ? "" : ","}${canonicalJson(item ?? null)}`;
  return `[${text}]`;
}

function canonicalObject(value: Record<string, unknown>): string {
  const keys = Object.keys(value);
  if (keys.some((key, n) => n > 0 && keys[n - 1]! > key)) keys.sort();
  let text = "";
  for (const key of keys) {
    const member = value[key];
    if (member !== undefined) text += `${text === "" ? "" : ","}${JSON.stringify(key)}:${canonicalJson(member)}`;
  }
  return `{${text}}`;
}

export const sha256Hex = (bytes: string | Uint8Array): string => hash("sha256", bytes, "hex");
