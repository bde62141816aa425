import { isDeepStrictEqual } from "node:util";
import type { Json, JsonObject } from "#proto/object.ts";
import { fieldElement, pathOf, type FieldSet } from "./field-set.ts";
import { itemElements, type Schema } from "./schema.ts";

// The operations of structured-merge-diff v6 on values, with its treatment of empty maps and lists.

export type Comparison = { readonly added: FieldSet; readonly changed: FieldSet; readonly removed: FieldSet };

type Child = { readonly element: string; readonly value: Json; readonly schema: Schema; readonly isNamed: boolean };

/** Members of a map, or items of a merging list; undefined for what merges whole. */
function childrenOf(value: Json | undefined, schema: Schema, where = ""): Child[] | undefined {
  if (value === undefined || value === null || schema.isAtomic) return undefined;
  if (Array.isArray(value)) {
    if (schema.list.by === "whole") return undefined;
    const elements = itemElements(schema.list, value, where);
    return elements.map((element, index) => ({
      element,
      value: value[index] as Json,
      schema: schema.member(""),
      isNamed: false,
    }));
  }
  if (typeof value !== "object") return undefined;
  return Object.entries(value).map(([name, inner]) => ({
    element: fieldElement(name),
    value: inner,
    schema: schema.member(name),
    isNamed: schema.names(name),
  }));
}

/** The fields that an applied configuration claims. */
export function fieldsOf(config: Json, schema: Schema): FieldSet {
  const found = new Set<string>();
  const collect = (value: Json, schema: Schema, path: string): void => {
    const children = childrenOf(value, schema, path.replaceAll("\u0000", "."));
    if (children === undefined) return void found.add(path);
    for (const child of children) {
      const childPath = pathOf(path, child.element);
      const isEmptyMap = typeof child.value === "object" && isEmptyMapOrNull(child.value);
      // Items and keys of free maps are claimed as such; members that the type names only by what is in them.
      if (!child.isNamed || isEmptyMap) found.add(childPath);
      collect(child.value, child.schema, childPath);
    }
  };
  collect(config, schema, "");
  found.delete("");
  return found;
}

const isEmptyMapOrNull = (value: Json): boolean =>
  value === null || (typeof value === "object" && !Array.isArray(value) && Object.keys(value).length === 0);

/** What changed from one value to another; a map or list that comes or goes is itself added or removed. */
export function compare(before: Json | undefined, after: Json | undefined, schema: Schema): Comparison {
  const found = { added: new Set<string>(), changed: new Set<string>(), removed: new Set<string>() };
  const walk = (left: Json | undefined, right: Json | undefined, schema: Schema, path: string): void => {
    if (left === undefined) found.added.add(path);
    else if (right === undefined) found.removed.add(path);
    const lefts = childrenOf(left, schema);
    const rights = childrenOf(right, schema);
    const isLeaf = (lefts ?? []).length === 0 && (rights ?? []).length === 0;
    if (isLeaf) {
      if (left !== undefined && right !== undefined && !isDeepStrictEqual(left, right)) found.changed.add(path);
      return;
    }
    const others = new Map((rights ?? []).map((child) => [child.element, child]));
    for (const child of lefts ?? []) {
      walk(child.value, others.get(child.element)?.value, child.schema, pathOf(path, child.element));
      others.delete(child.element);
    }
    for (const child of others.values()) walk(undefined, child.value, child.schema, pathOf(path, child.element));
  };
  walk(before, after, schema, "");
  return found;
}

/** `live` with everything of `config` in it. */
export function merge(live: Json | undefined, config: Json, schema: Schema): Json {
  const configs = childrenOf(config, schema);
  const lives = childrenOf(live, schema);
  if (configs === undefined || lives === undefined || Array.isArray(config) !== Array.isArray(live)) return config;
  if (Array.isArray(config)) return mergeLists(lives, configs);
  const merged: JsonObject = { ...(live as JsonObject) };
  for (const { element, value, schema: inner } of configs) {
    const name = element.slice(2);
    merged[name] = merge(merged[name], value, inner);
  }
  return merged;
}

/** The applied order, with items that only the live list has where they stood. */
function mergeLists(lives: readonly Child[], configs: readonly Child[]): Json[] {
  const liveBy = new Map(lives.map((child) => [child.element, child]));
  const configBy = new Set(configs.map(({ element }) => element));
  const shared = configs.filter(({ element }) => liveBy.has(element)).map(({ element }) => element);
  const merged: Json[] = [];
  const done = new Set<string>();
  const take = (child: Child): void => {
    merged.push(merge(liveBy.get(child.element)?.value, child.value, child.schema));
    done.add(child.element);
    if (shared[0] === child.element) shared.shift();
  };
  for (let l = 0, c = 0; l < lives.length || c < configs.length;) {
    const left = lives[l];
    const right = configs[c];
    if (left !== undefined && right !== undefined) {
      if (left.element === right.element) {
        take(right);
        l += 1;
        c += 1;
        continue;
      }
      // Shared, but not the one whose turn it is.
      if (configBy.has(left.element) && shared.length > 0 && shared[0] !== left.element) {
        l += 1;
        continue;
      }
    }
    if (left !== undefined && !configBy.has(left.element)) {
      merged.push(left.value);
      l += 1;
      continue;
    }
    if (left !== undefined && done.has(left.element)) l += 1;
    if (right !== undefined) {
      take(right);
      c += 1;
    } else if (left !== undefined && !done.has(left.element)) l += 1;
  }
  return merged;
}

/** `value` without the members and items at these paths. */
export function removeFields(value: Json, fields: FieldSet, schema: Schema, path = ""): Json {
  const children = childrenOf(value, schema);
  if (children === undefined || children.length === 0) return value;
  const kept = children
    .filter(({ element }) => !fields.has(pathOf(path, element)))
    .map((child) => ({
      ...child,
      value: removeFields(child.value, fields, child.schema, pathOf(path, child.element)),
    }));
  if (Array.isArray(value)) return kept.map((child) => child.value);
  return Object.fromEntries(kept.map((child) => [child.element.slice(2), child.value]));
}

/** The set and, for what lies within a member that the type names, that member too: it goes with its contents. */
export function withNamedParents(fields: FieldSet, schema: Schema): FieldSet {
  const found = new Set(fields);
  for (const path of fields) {
    const elements = path.split("\u0000");
    let inner = schema;
    elements.slice(0, -1).forEach((element, index) => {
      const isField = element.startsWith("f:");
      if (isField && inner.names(element.slice(2))) found.add(elements.slice(0, index + 1).join("\u0000"));
      inner = inner.member(isField ? element.slice(2) : "");
    });
  }
  return found;
}
