import type { Json, JsonObject, KubeObject } from "#proto/object.ts";
import type { PatchStep } from "./hand.ts";
import { additions } from "./additions.ts";
import type { Random } from "./random.ts";

/** One random change of one random field. */
export type Mutation = {
  readonly step: PatchStep & { op: "add" | "replace" | "remove" };
  readonly changed: KubeObject;
};

const agentLabel = "plumbline.dev/agent";
const unfuzzed = new Set(["apiVersion", "kind", "status"]);
const additionShare = 0.25;

export function mutate(random: Random, live: KubeObject): Mutation {
  const step = random.chance(additionShare) ? addition(random, live) : change(random, live);
  return { step, changed: stepped(live, step) };
}

/** The object after one step of a JSON patch; parents that are not there are made. */
export function stepped(object: KubeObject, { op, path, value }: PatchStep): KubeObject {
  const copy = structuredClone(object);
  const names = path.split("/").slice(1).map(unescaped);
  let parent = copy as unknown as JsonObject;
  for (const name of names.slice(0, -1)) parent = (parent[name] ??= {}) as JsonObject;
  const last = names.at(-1)!;
  if (Array.isArray(parent)) {
    if (op === "remove") parent.splice(Number(last), 1);
    else if (op === "add") parent.splice(last === "-" ? parent.length : Number(last), 0, value ?? null);
    else parent[Number(last)] = value ?? null;
  } else if (op === "remove") delete parent[last];
  else parent[last] = value ?? null;
  return copy;
}

function addition(random: Random, live: KubeObject): Mutation["step"] {
  const [path, value] = random.pick(additions(live));
  return { op: "add", path: pointer(path), value: typeof value === "function" ? value(random) : value };
}

type Site = { readonly path: readonly string[]; readonly value: Json; readonly isItem: boolean };

function change(random: Random, live: KubeObject): Mutation["step"] {
  const sites = sitesOf(live);
  if (sites.length === 0) return addition(random, live);
  const { path, value, isItem } = random.pick(sites);
  // A whole list of containers is taken away less often than one of its fields is changed.
  if (random.chance(0.2)) return { op: "remove", path: pointer(path) };
  if (isItem && random.chance(0.1)) return { op: "add", path: pointer(path), value };
  return { op: "replace", path: pointer(path), value: another(random, value) };
}

function sitesOf(live: KubeObject): Site[] {
  const sites: Site[] = [];
  const visit = (value: Json, path: readonly string[], isItem: boolean): void => {
    if (path.at(-1) === agentLabel) return;
    sites.push({ path, value, isItem });
    if (Array.isArray(value)) for (const [index, item] of value.entries()) visit(item, [...path, String(index)], true);
    else if (typeof value === "object" && value !== null)
      for (const [name, inner] of Object.entries(value)) visit(inner, [...path, name], false);
  };
  for (const [name, value] of Object.entries(live))
    if (name !== "metadata" && !unfuzzed.has(name)) visit(value as Json, [name], false);
  for (const name of ["labels", "annotations"])
    for (const [key, value] of Object.entries((live.metadata[name] ?? {}) as JsonObject))
      visit(value, ["metadata", name, key], false);
  return sites;
}

/** Of one of these a value is changed into another, which the server mostly takes. */
const alternatives: readonly (readonly string[])[] = [
  ["Always", "IfNotPresent", "Never"],
  ["TCP", "UDP"],
  ["Ignore", "Fail"],
  ["Allow", "Forbid", "Replace"],
  ["ClusterIP", "NodePort", "LoadBalancer"],
  ["None", "ClientIP", "NoneOnDryRun"],
  ["Prefix", "Exact", "ImplementationSpecific"],
  ["Retain", "Delete"],
  ["RollingUpdate", "OnDelete", "Recreate"],
  ["Cluster", "Local", "Namespaced"],
  ["CREATE", "UPDATE", "DELETE"],
  ["get", "list", "watch", "update"],
  ["100m", "200m", "1", "1000m", "2"],
  ["32Mi", "64Mi", "1Gi", "2Gi"],
  ["50%", "25%", "1"],
  ["0 0 * * *", "0 1 * * *"],
];

function another(random: Random, value: Json): Json {
  switch (typeof value) {
    case "boolean":
      return !value;
    case "number":
      return random.pick([value + 1, Math.max(0, value - 1), 0, value * 2 + 1]);
    case "bigint":
      return value + 1n;
    case "string": {
      const kin = alternatives.find((words) => words.includes(value));
      if (kin !== undefined && random.chance(0.9)) return random.pick(kin.filter((word) => word !== value));
      return random.pick([`${value}x`, `x${value}`, "other", `${value}-2`, ""]);
    }
    default:
      return value === null ? "x" : Array.isArray(value) ? otherList(random, value) : otherMap(random, value);
  }
}

function otherList(random: Random, list: readonly Json[]): Json {
  const at = random.below(list.length + 1);
  switch (random.below(4)) {
    case 0:
      return list.toReversed();
    case 1:
      return list.filter((_item, index) => index !== at);
    case 2:
      return [];
    default:
      return [...list, list.length === 0 ? "x" : varied(random, list[at] ?? list[0]!)];
  }
}

/** An item beside another: the same, under another name. */
function varied(random: Random, item: Json): Json {
  if (typeof item !== "object" || item === null || Array.isArray(item)) return another(random, item);
  const copy = structuredClone(item);
  for (const key of ["name", "port", "containerPort", "host", "path"])
    if (copy[key] !== undefined) copy[key] = another(random, copy[key]);
  return copy;
}

function otherMap(random: Random, map: JsonObject): Json {
  const names = Object.keys(map);
  if (names.length === 0 || random.chance(0.3)) return { ...map, [`added${random.below(3)}`]: "x" };
  if (random.chance(0.3)) return {};
  const name = random.pick(names);
  const { [name]: value, ...rest } = map;
  return random.chance(0.5) ? rest : { ...rest, [name]: another(random, value!) };
}

export const pointer = (path: readonly string[]): string => path.map((name) => `/${escaped(name)}`).join("");
const escaped = (name: string): string => name.replaceAll("~", "~0").replaceAll("/", "~1");
const unescaped = (name: string): string => name.replaceAll("~1", "/").replaceAll("~0", "~");
