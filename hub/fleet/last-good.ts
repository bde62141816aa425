import type { FailedDocument } from "./document.ts";
import { collections, type Fleet } from "./fleet.ts";

type Found = { readonly file: string; readonly name: string; readonly environment?: string };

/**
 * The fleet with what its failed documents said when they were last right, taken from `earlier`. A document whose name
 * cannot be read stands for all that its file declared and no other file declares now. What is found nowhere stays in
 * `failed`. Pure, so a rebuilt hub may take `earlier` from the commit that its signed documents name.
 */
export function keepLastGood(fleet: Fleet, earlier: Fleet): Fleet {
  const maps = copyOf(fleet);
  const lost: FailedDocument[] = [];
  for (const failed of fleet.failed) {
    let found = false;
    for (const name of Object.values(collections))
      for (const [key, document] of earlier[name] as ReadonlyMap<string, Found>) {
        if (!isMeant(failed, name, document)) continue;
        found = true;
        if (!maps[name].has(key)) maps[name].set(key, document);
      }
    if (!found) lost.push(failed);
  }
  return { ...maps, failed: lost } as unknown as Fleet;
}

type Maps = Record<(typeof collections)[keyof typeof collections], Map<string, unknown>>;

const copyOf = (fleet: Fleet): Maps =>
  Object.fromEntries(Object.values(collections).map((name) => [name, new Map<string, unknown>(fleet[name])])) as Maps;

function isMeant(failed: FailedDocument, collection: string, document: Found): boolean {
  if (failed.kind !== null && collections[failed.kind] !== collection) return false;
  if (failed.kind === null || failed.name === null) return document.file === failed.file;
  // A Promotion's own name may be used in several environments.
  if (failed.kind === "Promotion" && failed.environment === null) return document.file === failed.file;
  if (failed.kind === "Promotion" && document.environment !== failed.environment) return false;
  return document.name === failed.name;
}
