import type { KindInfo, Selection, WatchEvent } from "#agent/cluster/cluster.ts";
import { WatchExpired, WatchSilent } from "#agent/cluster/errors.ts";
import type { KubeObject } from "#proto/object.ts";
import type { Change, Store } from "./store.ts";
import { groupKindOf } from "./writes.ts";

export type Watching = {
  watch(kind: KindInfo, resourceVersion: string, selection: Selection): AsyncIterable<WatchEvent>;
  /** Wakes the watches: something was written. */
  wake(): void;
  bookmarks(): void;
  /** Ends each open watch by this error. */
  end(error: Error): void;
  /** Open watches say no more until `notice`, which ends them as the watchdog would. */
  silence(): void;
  notice(): void;
};

type Open = { wake: () => void; ended?: Error; isSilent: boolean; owesBookmark: boolean };

export function createWatching(store: Store): Watching {
  const open = new Set<Open>();
  const each = (change: (watch: Open) => void): void => {
    for (const watch of open) {
      change(watch);
      watch.wake();
    }
  };

  async function* watch(kind: KindInfo, from: string, selection: Selection): AsyncGenerator<WatchEvent> {
    const { signal } = selection;
    const self: Open = { wake: () => undefined, isSilent: false, owesBookmark: false };
    const stop = (): void => self.wake();
    open.add(self);
    signal?.addEventListener("abort", stop);
    try {
      let seen = Number(from);
      if (seen === 0) {
        seen = store.version;
        for (const object of store.list(groupKindOf(kind)))
          if (isSelected(object, selection)) yield { type: "ADDED", object: served(object, kind) };
      }
      for (;;) {
        const woken = new Promise<void>((resolve) => (self.wake = resolve));
        signal?.throwIfAborted();
        if (self.ended !== undefined) throw self.ended;
        if (!self.isSilent) {
          if (seen < store.oldest) throw new WatchExpired(`too old resource version: ${seen} (${store.oldest})`);
          for (const change of store.changesAfter(seen)) {
            if (change.version <= seen) continue;
            seen = change.version;
            const event = eventOf(change, kind, selection);
            if (event !== undefined) yield event;
            signal?.throwIfAborted();
            if (self.ended !== undefined) throw self.ended;
            if (self.isSilent) break;
          }
          if (self.owesBookmark && !self.isSilent) {
            self.owesBookmark = false;
            yield { type: "BOOKMARK", resourceVersion: String(seen) };
          }
        }
        await woken;
      }
    } finally {
      open.delete(self);
      signal?.removeEventListener("abort", stop);
    }
  }

  return {
    watch,
    wake: () => each(() => undefined),
    bookmarks: () => each((watch) => void (watch.owesBookmark = true)),
    end: (error) => each((watch) => void (watch.ended = error)),
    silence: () => each((watch) => void (watch.isSilent = true)),
    notice: () =>
      each((watch) => {
        if (watch.isSilent) watch.ended = new WatchSilent("the watch gave no byte for 150 s");
      }),
  };
}

/** An object that stops matching is, to its watcher, deleted: as it was, under the version of the change. */
function eventOf(change: Change, kind: KindInfo, selection: Selection): WatchEvent | undefined {
  if (change.groupKind !== groupKindOf(kind)) return undefined;
  const { before, after } = change;
  const was = before !== undefined && isSelected(before, selection) ? before : undefined;
  const is = after !== undefined && isSelected(after, selection) ? after : undefined;
  if (is !== undefined) return { type: was === undefined ? "ADDED" : "MODIFIED", object: served(is, kind) };
  if (was === undefined) return undefined;
  const metadata = { ...was.metadata, resourceVersion: String(change.version) };
  return { type: "DELETED", object: served({ ...was, metadata }, kind) };
}

/** A copy in the version asked for. */
export const served = (object: KubeObject, { group, version }: KindInfo): KubeObject => ({
  ...structuredClone(object),
  apiVersion: group === "" ? version : `${group}/${version}`,
});

/** "involvedObject.uid=1,type!=Normal" */
const hasFields = (object: KubeObject, fieldSelector: string): boolean =>
  fieldSelector.split(",").every((term) => {
    const [, path = "", operator = "", wanted = ""] = /^([\w.]+)(==|=|!=)(.*)$/.exec(term) ?? [];
    const found = path
      .split(".")
      .reduce<unknown>((value, name) => (value as Record<string, unknown> | undefined)?.[name], object);
    return ((typeof found === "string" ? found : "") === wanted) === (operator !== "!=");
  });

export function isSelected(object: KubeObject, { namespace, labelSelector, fieldSelector }: Selection): boolean {
  const { metadata } = object;
  if (fieldSelector !== undefined && !hasFields(object, fieldSelector)) return false;
  if (namespace !== undefined && namespace !== "" && metadata.namespace !== namespace) return false;
  const labels = metadata.labels ?? {};
  return (labelSelector ?? "").split(",").every((term) => {
    const [, name = "", operator, value = ""] = /^([^=!]+?)\s*(==|=|!=)\s*(.*)$/.exec(term.trim()) ?? [];
    if (operator === undefined) {
      const bare = term.trim();
      return bare === "" || (bare.startsWith("!") ? labels[bare.slice(1)] === undefined : labels[bare] !== undefined);
    }
    return operator === "!=" ? labels[name] !== value : labels[name] === value;
  });
}
