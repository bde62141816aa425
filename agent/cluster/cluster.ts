import type { KubeObject, ObjectRef } from "#proto/object.ts";

/** The one field manager under which Plumbline owns what it applied. Changing it would orphan every owned field. */
export const fieldManager = "plumbline";

/** A kind as the API server serves it. */
export type KindInfo = {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  /** Plural resource name, as it stands in request paths. */
  readonly resource: string;
  readonly namespaced: boolean;
  readonly verbs: readonly string[];
};

/** Where an object lies: its identity and the version to speak with. */
export type ObjectAddress = ObjectRef & { readonly apiVersion: string };

export type Selection = {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** A list of at most so many objects, whichever come first. */
  readonly limit?: number;
  readonly signal?: AbortSignal;
};

export type ObjectList = { readonly items: KubeObject[]; readonly resourceVersion: string };

export type WatchEvent =
  | { readonly type: "ADDED" | "MODIFIED" | "DELETED"; readonly object: KubeObject }
  /** Nothing changed up to this version. */
  | { readonly type: "BOOKMARK"; readonly resourceVersion: string };

export type DeleteOptions = {
  /** Deletes only this very object, never one that took its name since. */
  readonly uid: string;
  readonly propagation?: "Background" | "Foreground" | "Orphan";
  readonly signal?: AbortSignal;
};

/** One Kubernetes API server: the real one, or the simulated one. Every call may throw ApiError. */
export interface Cluster extends AsyncDisposable {
  /** "v1.36.3". */
  version(signal?: AbortSignal): Promise<string>;
  /**
   * The kind, after one refresh of discovery when it is not known yet; undefined when the server does not serve it.
   * Throws KindUnavailable when the group's own server is down, and nobody can tell.
   */
  kindOf(apiVersion: string, kind: string, signal?: AbortSignal): Promise<KindInfo | undefined>;
  /** The same, or the kind under the version that the server prefers when it does not serve this one. */
  servedKind(apiVersion: string, kind: string, signal?: AbortSignal): Promise<KindInfo | undefined>;
  /** As discovery showed it last: it is not asked anew for what did not exist then. For what few servers have. */
  knownKind(apiVersion: string, kind: string, signal?: AbortSignal): Promise<KindInfo | undefined>;
  /** The same server, asked in this user's name and with this user's rights alone. Closing it closes nothing. */
  as(user: string): Cluster;
  /** Server-side apply as `fieldManager`; the answer is the object as the server stored it. */
  apply(object: KubeObject, options?: { force?: boolean; dryRun?: boolean; signal?: AbortSignal }): Promise<KubeObject>;
  /** Undefined when there is no such object, under any version of its kind. */
  get(address: ObjectAddress, signal?: AbortSignal): Promise<KubeObject | undefined>;
  /** All objects of a kind, whatever number of pages that takes, as of one version. */
  list(kind: KindInfo, selection?: Selection): Promise<ObjectList>;
  /**
   * Changes after `resourceVersion`, with bookmarks. Ends only by an error: WatchExpired (list again), UnknownKind, ApiError,
   * or the signal's reason. No byte for 150 s is an error too, because a dead watch is otherwise silent for ever.
   */
  watch(kind: KindInfo, resourceVersion: string, selection?: Selection): AsyncIterable<WatchEvent>;
  create(object: KubeObject, signal?: AbortSignal): Promise<KubeObject>;
  /** Replaces the object; a resourceVersion in it is a precondition. */
  replace(object: KubeObject, signal?: AbortSignal): Promise<KubeObject>;
  /** "gone" when it was not there, or another object has its name now. Throws UnknownKind: that says nothing of the object. */
  delete(address: ObjectAddress, options: DeleteOptions): Promise<"deleted" | "gone">;
}

/** What finds and follows objects, and changes none: writes for Applications go through a Writer. */
export type ClusterReader = Pick<Cluster, "kindOf" | "servedKind" | "knownKind" | "get" | "list" | "watch">;
