/** JSON as it was parsed, integers as numbers or bigints. */
export type CelObject = { readonly [key: string]: unknown };

/** Anything as CEL sees it, and the length of the longest list or map in it. */
export type CelValue = { readonly value: Map<string, unknown>; readonly longest: number };

/**
 * Maps, because a field that is named `constructor` makes a plain object another type; integers as bigints, because CEL
 * adds and compares an int with no double.
 */
export function celValue(object: CelObject): CelValue {
  let longest = 0;
  const convert = (value: unknown): unknown => {
    if (typeof value === "number") return Number.isSafeInteger(value) ? BigInt(value) : value;
    if (Array.isArray(value)) {
      longest = Math.max(longest, value.length);
      return value.map(convert);
    }
    return typeof value === "object" && value !== null ? convertFields(value) : value;
  };
  const convertFields = (fields: object): Map<string, unknown> => {
    const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
    longest = Math.max(longest, entries.length);
    return new Map(entries.map(([key, value]) => [key, convert(value)]));
  };
  return { value: convertFields(object), longest };
}
