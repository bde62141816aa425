import { hash } from "node:crypto";
import { placedIn, type ManifestFile, type Placed } from "#hub/render/objects.ts";
import { canonicalBytes } from "#proto/bundle.ts";
import type { KubeObject } from "#proto/object.ts";

/** What was parsed lately, in bytes of its text: kube-prometheus-stack, of which a commit changes little, is 5 MB. */
const keptBytes = 8 * 1024 * 1024;

export type Memo = {
  /** `placedIn`, once for equal files. */
  readonly read: (file: ManifestFile) => Placed[];
  /** `canonicalBytes`, once for each object. */
  readonly bytesOf: (object: KubeObject) => Buffer;
};

/**
 * Remembers what files hold. Most of what a chart gives is the same for every cluster and every revision, and to parse it
 * and write it down again takes far longer than to tell that it is the same.
 */
export function createMemo(): Memo {
  const files = new Map<string, { readonly placed: Placed[]; readonly bytes: number }>();
  const texts = new WeakMap<KubeObject, Buffer>();
  let bytes = 0;
  return {
    read(file) {
      const key = `${file.path}\n${hash("sha256", file.bytes)}`;
      const known = files.get(key);
      const entry = known ?? { placed: placedIn(file), bytes: file.bytes.length };
      files.delete(key);
      files.set(key, entry);
      if (known === undefined) bytes += entry.bytes;
      for (const [oldest, { bytes: freed }] of files) {
        if (bytes <= keptBytes) break;
        files.delete(oldest);
        bytes -= freed;
      }
      return entry.placed;
    },
    bytesOf(object) {
      const known = texts.get(object);
      if (known !== undefined) return known;
      const text = canonicalBytes(object);
      texts.set(object, text);
      return text;
    },
  };
}
