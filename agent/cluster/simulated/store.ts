import type { KubeObject } from "#proto/object.ts";

/** One write, as watches tell it. `before` is what the object was. */
export type Change = {
  readonly version: number;
  /** Group and kind: objects of one kind are one whatever the version they are read in. */
  readonly groupKind: string;
  readonly before: KubeObject | undefined;
  readonly after: KubeObject | undefined;
};

export type Snapshot = { readonly version: number; readonly objects: ReadonlyMap<string, KubeObject> };

/** Beyond so many changes the oldest are forgotten, and watches from there on expire. */
const keptChanges = 10_000;

/** Objects by group and kind, namespace and name; what is stored is never changed in place. */
export type Store = {
  readonly version: number;
  /** Changes after this version are still known. */
  readonly oldest: number;
  get(groupKind: string, namespace: string, name: string): KubeObject | undefined;
  /** Sorted by namespace and name, as etcd keeps them. */
  list(groupKind: string): KubeObject[];
  all(): Iterable<KubeObject>;
  /** Stores under the next version, which the answer carries. */
  put(groupKind: string, object: KubeObject): KubeObject;
  /** Gives the object as it was last, under the version of its end. */
  drop(groupKind: string, object: KubeObject): KubeObject;
  changesAfter(version: number): Change[];
  forgetChanges(): void;
  snapshot(): Snapshot;
  restore(snapshot: Snapshot): void;
};

export function createStore(told: (change: Change) => void): Store {
  let version = 1;
  let oldest = 1;
  let kinds = new Map<string, Map<string, KubeObject>>();
  let changes: Change[] = [];

  const tell = (change: Change): void => {
    changes.push(change);
    if (changes.length > keptChanges * 2) {
      changes = changes.slice(-keptChanges);
      oldest = (changes[0]?.version ?? version) - 1;
    }
    told(change);
  };
  const numbered = (object: KubeObject): KubeObject => {
    version += 1;
    return { ...object, metadata: { ...object.metadata, resourceVersion: String(version) } };
  };
  return {
    get version() {
      return version;
    },
    get oldest() {
      return oldest;
    },
    get: (groupKind, namespace, name) => kinds.get(groupKind)?.get(`${namespace}/${name}`),
    list: (groupKind) =>
      [...(kinds.get(groupKind) ?? [])].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, object]) => object),
    *all() {
      for (const objects of kinds.values()) yield* objects.values();
    },
    put(groupKind, object) {
      const objects = kinds.get(groupKind) ?? new Map<string, KubeObject>();
      kinds.set(groupKind, objects);
      const before = objects.get(placeOf(object));
      const after = numbered(object);
      objects.set(placeOf(object), after);
      tell({ version, groupKind, before, after });
      return after;
    },
    drop(groupKind, object) {
      const before = numbered(object);
      kinds.get(groupKind)?.delete(placeOf(object));
      tell({ version, groupKind, before, after: undefined });
      return before;
    },
    changesAfter: (after) => {
      const first = changes.findIndex((change) => change.version > after);
      return first < 0 ? [] : changes.slice(first);
    },
    forgetChanges() {
      changes = [];
      oldest = version;
    },
    snapshot: () => ({ version, objects: new Map([...kinds].flatMap(([kind, objects]) => flattened(kind, objects))) }),
    restore(snapshot) {
      kinds = new Map();
      for (const [key, object] of snapshot.objects) {
        const groupKind = key.slice(0, key.indexOf(" "));
        const objects = kinds.get(groupKind) ?? new Map<string, KubeObject>();
        kinds.set(groupKind, objects.set(placeOf(object), object));
      }
      version = snapshot.version;
      changes = [];
      oldest = version;
    },
  };
}

const placeOf = ({ metadata }: KubeObject): string => `${metadata.namespace ?? ""}/${metadata.name}`;

const flattened = (kind: string, objects: ReadonlyMap<string, KubeObject>): [string, KubeObject][] =>
  [...objects].map(([place, object]) => [`${kind} ${place}`, object]);
