import type { Json, JsonObject, KubeObject, ManagedFieldsEntry } from "#proto/object.ts";
import type { Hand } from "./hand.ts";
import { mutate } from "./mutate.ts";
import type { Random } from "./random.ts";

/** What is about to be tried. `run` says what the object was between its writes, when it makes several. */
export type Attempt = {
  readonly verb: string;
  readonly manager: string;
  readonly body: unknown;
  readonly run: (passing: (state: KubeObject) => void) => Promise<KubeObject | undefined>;
};

const isOurs = ({ manager, operation }: ManagedFieldsEntry): boolean =>
  manager === "plumbline" && operation === "Apply";
const with_ = (object: KubeObject, managedFields: ManagedFieldsEntry[]): KubeObject => ({
  ...object,
  metadata: { ...object.metadata, managedFields },
});

/** managedFields is a field like any other to who may write the object: what is done to it by error, and on purpose. */
export function ownershipGames(random: Random, hand: Hand, live: KubeObject, manager: string): Attempt {
  const entries = live.metadata.managedFields ?? [];
  const own = entries.find(isOurs);
  const put = (verb: string, managedFields: ManagedFieldsEntry[]): Attempt => ({
    verb: `managedFields ${verb}`,
    manager,
    body: managedFields,
    run: () => hand.replace(manager, with_(live, managedFields)),
  });
  switch (random.below(8)) {
    case 0:
      return put("cleared", [{}] as unknown as ManagedFieldsEntry[]);
    case 1:
      return put(
        "without ours",
        entries.filter((entry) => !isOurs(entry)),
      );
    case 2:
      return put("without others'", entries.filter(isOurs));
    case 3:
      return put(
        "thinned out",
        entries.map((entry) => (isOurs(entry) ? thinned(random, entry) : entry)),
      );
    case 4:
      return put(
        "ours under another name",
        entries.map((entry) => (isOurs(entry) ? { ...entry, manager: "stranger" } : entry)),
      );
    case 5:
      return put(
        "with all fields ours",
        own === undefined ? entries : entries.map((entry) => (entry === own ? everything(entry, entries) : entry)),
      );
    case 6:
      return backAndForth(random, hand, live, manager);
    default:
      return forged(random, hand, live, manager);
  }
}

/** Changed by one and put back by another, before or after anyone looks. */
function backAndForth(random: Random, hand: Hand, live: KubeObject, manager: string): Attempt {
  const { changed, step } = mutate(random, live);
  return {
    verb: "managedFields: changed and put back by another",
    manager,
    body: step,
    async run(passing) {
      const away = await hand.replace(manager, changed);
      passing(away);
      const { resourceVersion = "", managedFields = [] } = away.metadata;
      return hand.replace("second", {
        ...live,
        metadata: { ...live.metadata, resourceVersion, managedFields },
      });
    },
  };
}

/** Another value under our entry as it was: the server believes what it is told. */
function forged(random: Random, hand: Hand, live: KubeObject, manager: string): Attempt {
  const { changed, step } = mutate(random, live);
  return {
    verb: "managedFields forged",
    manager,
    body: step,
    async run(passing) {
      const away = await hand.replace(manager, changed);
      passing(away);
      return hand.replace(manager, with_(away, live.metadata.managedFields ?? []));
    },
  };
}

function thinned(random: Random, entry: ManagedFieldsEntry): ManagedFieldsEntry {
  const thin = (fields: JsonObject): JsonObject =>
    Object.fromEntries(
      Object.entries(fields).flatMap(([key, inner]): [string, Json][] => {
        const isLeaf = Object.keys(inner as JsonObject).length === 0;
        if (isLeaf && random.chance(0.3)) return [];
        return [[key, thin(inner as JsonObject)]];
      }),
    );
  return { ...entry, fieldsV1: thin(entry.fieldsV1 ?? {}) };
}

function everything(own: ManagedFieldsEntry, entries: readonly ManagedFieldsEntry[]): ManagedFieldsEntry {
  const others = entries.filter(({ subresource = "" }) => subresource === "").map(({ fieldsV1 = {} }) => fieldsV1);
  return { ...own, fieldsV1: others.reduce(union, {}) };
}

function union(a: JsonObject, b: JsonObject): JsonObject {
  const merged = { ...a };
  for (const [key, inner] of Object.entries(b))
    merged[key] = union((merged[key] ?? {}) as JsonObject, inner as JsonObject);
  return merged;
}
