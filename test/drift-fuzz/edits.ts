import { ApiError } from "#agent/cluster/errors.ts";
import { stringifyJson } from "#proto/json.ts";
import type { Json, JsonObject, KubeObject } from "#proto/object.ts";
import type { Hand } from "./hand.ts";
import { ownershipGames, type Attempt } from "./games.ts";
import { mutate, pointer } from "./mutate.ts";
import type { Random } from "./random.ts";

/** What somebody did to an object, told so that it can be made a case. */
export type Edit = {
  readonly verb: string;
  readonly manager: string;
  /** What was sent. */
  readonly body: string;
  /** The object after it; undefined when it is gone. */
  readonly after: KubeObject | undefined;
  /** Between the writes of an edit that takes several. */
  readonly passing: readonly KubeObject[];
};

type Make = (random: Random, hand: Hand, live: KubeObject, manager: string) => Attempt;

const managers = [
  "kubectl-edit",
  "kubectl-patch",
  "helm",
  "argocd-controller",
  "kubectl-client-side-apply",
  "operator",
];
const agentLabel = "plumbline.dev/agent";
/** The server refuses many random values; what has none left for an object is said, not counted. */
const attempts = 40;

/** Never deleted: everything else lies in it, or its instances would go with it. */
const isKept = ({ kind, metadata }: KubeObject): boolean =>
  kind === "Namespace" || (kind === "CustomResourceDefinition" && !metadata.name.startsWith("idle"));

/** A CRD or an APIService whose conditions somebody wipes out is served no more, and nobody brings it back. */
const isServed = ({ kind }: KubeObject): boolean => ["CustomResourceDefinition", "APIService"].includes(kind);

const scalable = new Set(["Deployment", "StatefulSet", "ReplicaSet", "ReplicationController"]);

/** How often each is tried, out of their sum. */
const verbs: readonly (readonly [weight: number, make: Make, isFor?: (object: KubeObject) => boolean])[] = [
  [18, mergePatch],
  [14, jsonPatch],
  [16, update],
  [14, (random, hand, live, manager) => apply(random, hand, live, manager, true)],
  [8, (random, hand, live, manager) => apply(random, hand, live, manager, false)],
  [5, sameValues],
  [6, scale, ({ kind }) => scalable.has(kind)],
  [5, remove, (object) => !isKept(object)],
  [5, label],
  [14, (random, hand, live, manager) => ({ ...ownershipGames(random, hand, live, manager) })],
  [3, status, (object) => !isServed(object)],
];

/** Makes edits until the server takes one that changes something. Undefined when none was taken. */
export async function edit(random: Random, hand: Hand, known: KubeObject): Promise<Edit | undefined> {
  let live = known;
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const passing: KubeObject[] = [];
    const { verb, manager, body, run } = choose(random, live)(random, hand, live, random.pick(managers));
    try {
      const after = await run((state) => passing.push(state));
      if (after?.metadata.resourceVersion === live.metadata.resourceVersion) continue;
      return { verb, manager, body: stringifyJson(body), after, passing };
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // Refused for what it says; a game of several writes may end in the middle, and the API server's own controllers write too.
      if (error.status !== 409 && error.status !== 404 && !verb.startsWith("managedFields")) continue;
      const there = await hand.get(live);
      if (there === undefined) return { verb, manager, body: stringifyJson(body), after: undefined, passing };
      if (there.metadata.resourceVersion !== live.metadata.resourceVersion && verb.startsWith("managedFields"))
        return { verb, manager, body: stringifyJson(body), after: there, passing };
      live = there;
    }
  }
  return undefined;
}

function choose(random: Random, live: KubeObject): Make {
  const possible = verbs.filter(([, , isFor]) => isFor === undefined || isFor(live));
  let left = random.below(possible.reduce((sum, [weight]) => sum + weight, 0));
  for (const [weight, make] of possible) {
    left -= weight;
    if (left < 0) return make;
  }
  return mergePatch;
}

function mergePatch(random: Random, hand: Hand, live: KubeObject, manager: string): Attempt {
  const { changed } = mutate(random, live);
  const body = mergeOf(live as unknown as JsonObject, changed as unknown as JsonObject);
  return { verb: "merge patch", manager, body, run: () => hand.mergePatch(manager, live, body) };
}

function jsonPatch(random: Random, hand: Hand, live: KubeObject, manager: string): Attempt {
  const { step } = mutate(random, live);
  const names = step.path.split("/").slice(1, -1);
  const missing = names.flatMap((_name, index) => {
    const path = names.slice(0, index + 1);
    return at(live as unknown as Json, path) === undefined
      ? [{ op: "add" as const, path: pointer(path), value: {} }]
      : [];
  });
  const body = [...missing, step];
  return { verb: "json patch", manager, body, run: () => hand.jsonPatch(manager, live, body) };
}

function update(random: Random, hand: Hand, live: KubeObject, manager: string): Attempt {
  const { changed, step } = mutate(random, live);
  return { verb: "update", manager, body: step, run: () => hand.replace(manager, changed) };
}

/** Down to the changed field; a list that is on the way goes whole, as another tool's manifest has it. */
function apply(random: Random, hand: Hand, live: KubeObject, manager: string, force: boolean): Attempt {
  const { changed, step } = mutate(random, live);
  const body = part(changed, step.path.split("/").slice(1));
  return { verb: force ? "forced apply" : "apply", manager, body, run: () => hand.apply(manager, body, { force }) };
}

/** Another tool becomes an owner beside us, or instead of us, of what is there already. */
function sameValues(random: Random, hand: Hand, live: KubeObject, manager: string): Attempt {
  const { step } = mutate(random, live);
  const body = part(live, step.path.split("/").slice(1));
  const force = random.chance(0.5);
  return { verb: "apply of what is there", manager, body, run: () => hand.apply(manager, body, { force }) };
}

function scale(random: Random, hand: Hand, live: KubeObject, manager: string): Attempt {
  const replicas = random.below(6);
  return {
    verb: "scale",
    manager,
    body: replicas,
    async run() {
      await hand.scale(manager, live, replicas);
      return hand.get(live);
    },
  };
}

function remove(_random: Random, hand: Hand, live: KubeObject, manager: string): Attempt {
  return { verb: "delete", manager, body: "", run: () => hand.delete(live).then(() => undefined) };
}

function label(random: Random, hand: Hand, live: KubeObject, manager: string): Attempt {
  const body = { metadata: { labels: { [agentLabel]: random.pick([null, "another", ""]) } } };
  return { verb: "label", manager, body, run: () => hand.mergePatch(manager, live, body) };
}

/** As a controller does; not every kind has a status that takes this. */
function status(random: Random, hand: Hand, live: KubeObject): Attempt {
  const manager = random.pick(["kube-controller-manager", "operator"]);
  const body = random.pick<JsonObject>([
    { observedGeneration: random.below(100) },
    { replicas: random.below(3) },
    { conditions: null },
    { said: `x${random.below(100)}` },
  ]);
  return { verb: "status", manager, body, run: () => hand.status(manager, live, body) };
}

function part(object: KubeObject, path: readonly string[]): KubeObject {
  const { apiVersion, kind, metadata } = object;
  const { name, namespace } = metadata;
  const root = { apiVersion, kind, metadata: { name, ...(namespace === undefined ? {} : { namespace }) } };
  let from = object as unknown as Json | undefined;
  let into = root as unknown as JsonObject;
  for (const [index, text] of path.entries()) {
    const step = text.replaceAll("~1", "/").replaceAll("~0", "~");
    from = (from as JsonObject | undefined)?.[step];
    if (from === undefined) break;
    const isEnd = index === path.length - 1 || Array.isArray(from) || typeof from !== "object";
    into[step] = isEnd ? structuredClone(from) : (into[step] ?? {});
    if (isEnd) break;
    into = into[step] as JsonObject;
  }
  return root;
}

function mergeOf(before: JsonObject, after: JsonObject): JsonObject {
  const patch: JsonObject = {};
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const [a, b] = [before[name], after[name]];
    if (stringifyJson(a) === stringifyJson(b)) continue;
    const areMaps = [a, b].every((side) => typeof side === "object" && side !== null && !Array.isArray(side));
    patch[name] = b === undefined ? null : areMaps ? mergeOf(a as JsonObject, b as JsonObject) : b;
  }
  return patch;
}

const at = (value: Json, path: readonly string[]): Json | undefined =>
  path.reduce<Json | undefined>(
    (inner, name) => (inner as JsonObject | undefined)?.[name.replaceAll("~1", "/").replaceAll("~0", "~")],
    value,
  );
