import { deserialize, serialize } from "node:v8";
import type { Choice } from "#hub/render/choose.ts";
import type { SealedStore } from "#hub/render/sealed-store.ts";
import type { Rendered } from "#hub/render/target.ts";
import { remember } from "#lib/remember.ts";
import { sha256Hex } from "#proto/json.ts";

/** Raised with the shape of what is kept: an older file is then not read. */
const form = 3;
/** Folders named by a kustomization come and go; older shapes are found no more, and their results are made again. */
const keptShapes = 8;
/** Settings whose shapes stay in memory. */
const keptSettings = 20_000;

/** What a rendering looked at: paths of the commit, and names of parameters in text. */
export type Shape = { readonly paths: readonly string[]; readonly parameters: readonly string[] };

/** The world that a target is rendered in: the object ids of paths at its commit, and its own values of parameters. */
export type Seen = {
  readonly objects: ReadonlyMap<string, string>;
  readonly parameters: Readonly<Record<string, string>>;
};

export type Kept = { readonly rendered: Rendered; readonly choice: Choice };

/**
 * Renderings by what they looked at, on disk, so that a restart and another commit with the same content find them. What a
 * rendering looks at first is always the same, and what it looks at next follows from the content of that: where all of it
 * has the same object ids, so has the result.
 */
export type KeptRenderings = {
  shapes(settings: string): Promise<readonly Shape[]>;
  get(name: string): Promise<Kept | undefined>;
  keep(settings: string, shape: Shape, name: string, kept: Kept): Promise<void>;
};

/** The name of the result that a rendering of this shape has in this world; undefined where something is missing. */
export function nameOf(settings: string, { paths, parameters }: Shape, seen: Seen): string | undefined {
  const objects = paths.map((path) => seen.objects.get(path));
  const values = parameters.map((name) => seen.parameters[name]);
  if ([...objects, ...values].some((value) => value === undefined)) return undefined;
  return sha256Hex(JSON.stringify([form, settings, paths, objects, parameters, values]));
}

/** Without a store, shapes are kept in memory alone. */
export function keepRenderings(store?: SealedStore): KeptRenderings {
  const known = new Map<string, readonly Shape[]>();
  const shapesName = (settings: string): string => sha256Hex(JSON.stringify([form, "shapes", settings]));
  const note = (settings: string, shapes: readonly Shape[]): void => remember(known, settings, shapes, keptSettings);
  const read = async <Value>(name: string): Promise<Value | undefined> => {
    const content = await store?.get(name);
    return content === undefined ? undefined : (deserialize(content) as Value);
  };
  const shapes = async (settings: string): Promise<readonly Shape[]> => {
    const inMemory = known.get(settings);
    if (inMemory !== undefined) return inMemory;
    const found = (await read<readonly Shape[]>(shapesName(settings))) ?? [];
    note(settings, found);
    return found;
  };
  return {
    shapes,
    get: (name) => read<Kept>(name),
    async keep(settings, shape, name, kept) {
      await store?.put(name, serialize(kept));
      const before = await shapes(settings);
      const text = JSON.stringify(shape);
      if (before.some((other) => JSON.stringify(other) === text)) return;
      const after = [shape, ...(known.get(settings) ?? before)].slice(0, keptShapes);
      note(settings, after);
      await store?.put(shapesName(settings), serialize(after));
    },
  };
}
