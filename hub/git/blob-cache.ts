import type { FileBytes, TreeFile } from "#hub/git/contents.ts";

/**
 * Content of files by its object id, of several repositories together. Most of a folder is what it was at the commit before,
 * and to unpack a chart again takes as long as a third of its rendering.
 */
export type BlobCache = {
  /** Of one repository alone: what a stranger's says of an object is no word on anybody else's. */
  of(repository: string): Blobs;
};

export type Blobs = {
  get(object: string): Buffer | undefined;
  /** Keeps a copy, and gives it: a slice would keep all that git answered. */
  put(object: string, bytes: Uint8Array): Buffer;
};

/** Over `maxBytes` what was not asked for longest goes. */
export function createBlobCache(maxBytes: number): BlobCache {
  const kept = new Map<string, Buffer>();
  let total = 0;
  const take = (key: string): Buffer | undefined => {
    const bytes = kept.get(key);
    total -= bytes?.length ?? 0;
    kept.delete(key);
    return bytes;
  };
  const note = (key: string, bytes: Buffer): Buffer => {
    take(key);
    kept.set(key, bytes);
    total += bytes.length;
    for (const oldest of kept.keys()) {
      if (total <= maxBytes) break;
      take(oldest);
    }
    return bytes;
  };
  return {
    of: (repository) => ({
      get(object) {
        const bytes = kept.get(`${repository}\n${object}`);
        return bytes && note(`${repository}\n${object}`, bytes);
      },
      put: (object, bytes) => note(`${repository}\n${object}`, Buffer.from(bytes)),
    }),
  };
}

/** The content of listed files, in their order; `read` is asked for those that are not kept. */
export async function readThrough(
  blobs: Blobs,
  files: readonly TreeFile[],
  read: (missing: readonly TreeFile[]) => Promise<FileBytes[]>,
): Promise<FileBytes[]> {
  const known = files.map(({ object }) => blobs.get(object));
  const missing = files.filter((_, n) => known[n] === undefined);
  const found = (missing.length === 0 ? [] : await read(missing)).map(({ bytes }, n) =>
    blobs.put(missing[n]!.object, bytes),
  );
  let next = 0;
  return files.map(({ path }, n) => ({ path, bytes: known[n] ?? found[next++]! }));
}
