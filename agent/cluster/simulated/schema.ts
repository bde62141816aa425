import type { Json, JsonObject } from "#proto/object.ts";
import { keyElement, valueElement } from "./field-set.ts";

/** How two values of one field merge. What is not said follows the value: maps by member, lists and scalars whole. */
export type Schema = {
  /** Merges as one value, whatever is in it. */
  readonly isAtomic: boolean;
  readonly list: ListMerge;
  /** The schema of a member of a map, or of an item of a list ("" for items). */
  member(name: string): Schema;
  /** Whether the type names this member, unlike a key of a free map. */
  names(name: string): boolean;
};

export type ListMerge =
  | { readonly by: "whole" }
  | { readonly by: "value" }
  | { readonly by: "keys"; readonly keys: readonly string[]; readonly defaults: JsonObject };

export const whole: ListMerge = { by: "whole" };
export const byValue: ListMerge = { by: "value" };
export const byKeys = (keys: readonly string[], defaults: JsonObject = {}): ListMerge => ({
  by: "keys",
  keys: [...keys].sort(),
  defaults,
});

/** The path element of each item of a merging list, in order. Throws for two items of one key, as the server does. */
export function itemElements(list: ListMerge, items: readonly Json[], where: string): string[] {
  const elements = items.map((item) => elementOf(list, item));
  elements.forEach((element, index) => {
    if (elements.indexOf(element) !== index)
      throw new Error(`${where}: duplicate entries for key [${element.slice(2)}]`);
  });
  return elements;
}

function elementOf(list: ListMerge, item: Json): string {
  if (list.by !== "keys") return valueElement(item);
  const members = item as JsonObject;
  const keys: [string, Json][] = list.keys.flatMap((key) => {
    const value = members[key] ?? list.defaults[key];
    return value === undefined ? [] : [[key, value]];
  });
  return keyElement(Object.fromEntries(keys));
}
