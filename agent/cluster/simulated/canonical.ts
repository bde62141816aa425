import type { Json, JsonObject, KubeObject } from "#proto/object.ts";

// What Go's types do to an object on its way through the server: `omitempty` members vanish when they are empty, and
// quantities take their canonical form.

const emptyMaps = new Set("annotations binaryData data labels limits matchLabels nodeSelector requests".split(" "));
const falseFlags = new Set(
  "hostIPC hostNetwork hostPID paused publishNotReadyAddresses readOnly stdin stdinOnce tty".split(" "),
);
const quantityMaps = new Set(["limits", "requests", "capacity", "hard"]);
/** Lists that stay though they are empty: their members have no `omitempty`. */
const keptLists = new Set(["containers", "rules"]);

/** A built-in object as the server would store it. */
export function canonicalObject(object: KubeObject): KubeObject {
  return canonicalMap(object as JsonObject) as KubeObject;
}

function canonicalMap(map: JsonObject): JsonObject {
  const members = Object.entries(map).flatMap(([name, value]): [string, Json][] => {
    if (isOmitted(name, value, map)) return [];
    return [[name, quantityMaps.has(name) ? quantities(value) : canonicalValue(value)]];
  });
  return Object.fromEntries(members);
}

function canonicalValue(value: Json): Json {
  if (Array.isArray(value)) return value.map(canonicalValue);
  return typeof value === "object" && value !== null ? canonicalMap(value) : value;
}

function isOmitted(name: string, value: Json, within: JsonObject): boolean {
  if (value === null) return !keptLists.has(name);
  if (Array.isArray(value)) return value.length === 0 && !keptLists.has(name);
  if (typeof value === "object") return emptyMaps.has(name) && Object.keys(value).length === 0;
  if (value === false) return falseFlags.has(name);
  // An environment variable with no value is one with an empty value.
  return name === "value" && value === "" && within["name"] !== undefined;
}

const quantities = (value: Json): Json =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).map(([name, quantity]) => [name, canonicalQuantity(textOf(quantity))]))
    : value;

const textOf = (value: Json): string => (typeof value === "string" || typeof value === "number" ? String(value) : "");

const binary = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const decimal = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];

/** "1000m" is "1", "1024Mi" is "1Gi"; what is no plain integer with a suffix stays as it is. */
export function canonicalQuantity(text: string): string {
  const [, digits, suffix] = /^(\d+)([A-Za-z]*)$/.exec(text) ?? [];
  if (digits === undefined || suffix === undefined) return text;
  const [suffixes, base] = suffix.endsWith("i") ? [binary, 1024n] : [decimal, 1000n];
  let at = suffixes.indexOf(suffix);
  if (at < 0) return text;
  let number = BigInt(digits);
  while (number !== 0n && number % base === 0n && at + 1 < suffixes.length) {
    number /= base;
    at += 1;
  }
  return `${number}${suffixes[at]}`;
}
