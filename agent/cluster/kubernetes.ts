import type { Access } from "#agent/cluster/access.ts";
import {
  fieldManager,
  type Cluster,
  type KindInfo,
  type ObjectAddress,
  type ObjectList,
  type Selection,
} from "#agent/cluster/cluster.ts";
import { ApiError, KindUnavailable, ServerAway, UnknownKind, WatchExpired } from "#agent/cluster/errors.ts";
import { createKinds, type Kinds } from "#agent/cluster/kinds.ts";
import { inNameOf, openTransport, type Transport, type TransportOptions } from "#agent/cluster/transport.ts";
import { guardSilence, readWatch, silenceLimitMs } from "#agent/cluster/watch.ts";
import type { Clock } from "#lib/clock.ts";
import { reasonOf } from "#lib/log.ts";
import type { Json, KubeObject } from "#proto/object.ts";

/** Objects a page: an answer of a few megabytes at the most, whatever the size of the cluster. */
const pageLimit = 500;

type Named = { apiVersion: string; kind: string; metadata: { name: string; namespace?: string } };

export type KubernetesOptions = {
  readonly silenceMs?: number;
  /** By which a watch is called silent. */
  readonly clock?: Clock;
  /** Another field manager than the agent's. */
  readonly manager?: string;
  readonly turnedAway?: TransportOptions["turnedAway"];
};

/** A real cluster. Opens no connection before the first call. */
export function openKubernetes(access: Access, options: KubernetesOptions = {}): Cluster {
  const { turnedAway } = options;
  const transport = openTransport(access, turnedAway === undefined ? {} : { turnedAway });
  return clusterOn(transport, createKinds(transport), options);
}

function clusterOn(transport: Transport, kinds: Kinds, options: KubernetesOptions): Cluster {
  const silenceMs = options.silenceMs ?? silenceLimitMs;
  const manager = options.manager ?? fieldManager;

  /** Exactly as it is written: to apply it under another version is the caller's to decide. */
  const kindFor = async (object: Named, signal?: AbortSignal): Promise<KindInfo> => {
    const kind = await kinds.find(object.apiVersion, object.kind, signal);
    if (kind === undefined) throw notServed(object);
    return kind;
  };
  const pathTo = async (object: Named, signal?: AbortSignal): Promise<string> =>
    objectPath(await kindFor(object, signal), object);
  // A server that does not know the path of a kind serves it no more; what is known of its kinds is old.
  const doubting =
    (kind: { apiVersion: string; kind: string }) =>
    (error: unknown): never => {
      if (!(error instanceof ApiError) || error.status !== 404 || error.about !== "") throw error;
      kinds.doubt();
      throw notServed(kind, error);
    };
  /** By identity, which has no version: asked once more when the server turns out to serve another one by now. */
  const found = async <T>(object: Named, ask: (path: string) => Promise<T>, signal?: AbortSignal): Promise<T> => {
    for (let attempt = 1; ; attempt += 1) {
      const kind = await kinds.findAny(object.apiVersion, object.kind, signal);
      if (kind === undefined) throw notServed(object);
      try {
        return await ask(objectPath(kind, object)).catch(doubting(object));
      } catch (error) {
        if (!(error instanceof UnknownKind) || attempt === 2) throw error;
      }
    }
  };

  return {
    async version(signal) {
      const said = (await transport.call({ method: "GET", path: "/version", signal })) as { gitVersion?: string };
      return said.gitVersion ?? "unknown";
    },
    kindOf: (...asked) => kinds.find(...asked),
    servedKind: (...asked) => kinds.findAny(...asked),
    knownKind: (...asked) => kinds.findKnown(...asked),
    as: (user) => clusterOn(inNameOf(transport, user), kinds, options),
    async apply(object, { force = false, dryRun = false, signal } = {}) {
      const path = await pathTo(object, signal);
      const asked = transport.call({
        method: "PATCH",
        path,
        query: {
          fieldManager: manager,
          fieldValidation: "Strict",
          ...(force ? { force: "true" } : {}),
          ...(dryRun ? { dryRun: "All" } : {}),
        },
        body: object,
        // JSON is YAML, and the server takes an apply only under this type.
        contentType: "application/apply-patch+yaml",
        signal,
      });
      return objectOf(await asked.catch(doubting(object)));
    },
    get: (address, signal) =>
      orUndefined(
        found(named(address), async (path) => objectOf(await transport.call({ method: "GET", path, signal })), signal),
      ),
    list: (kind, selection = {}) => listAll(transport, kind, selection).catch(doubting(typeOf(kind))),
    watch(kind, resourceVersion, selection = {}) {
      const { namespace, signal } = selection;
      const query = { watch: "true", allowWatchBookmarks: "true", resourceVersion, ...selectors(selection) };
      const open = (either: AbortSignal): Promise<AsyncIterable<Uint8Array>> =>
        transport
          .stream({ method: "GET", path: collectionPath(kind, namespace), query, signal: either })
          .catch(asExpired)
          .catch(doubting(typeOf(kind)))
          .catch(asAway(either));
      return readWatch(guardSilence(open, silenceMs, signal, options.clock));
    },
    async create(object, signal) {
      const path = collectionPath(await kindFor(object, signal), object.metadata.namespace);
      return objectOf(
        await transport.call({ method: "POST", path, query: { fieldManager: manager }, body: object, signal }),
      );
    },
    async replace(object, signal) {
      const path = await pathTo(object, signal);
      return objectOf(
        await transport.call({ method: "PUT", path, query: { fieldManager: manager }, body: object, signal }),
      );
    },
    async delete(address, { uid, propagation = "Background", signal }) {
      const body = { preconditions: { uid }, propagationPolicy: propagation };
      try {
        await found(named(address), (path) => transport.call({ method: "DELETE", path, body, signal }), signal);
        return "deleted";
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        if (error.status === 404) return "gone";
        // 409 is what a failed uid precondition says, but a terminating Namespace says it too: only a look tells.
        if (error.status === 409 && (await this.get(address, signal))?.metadata.uid !== uid) return "gone";
        throw error;
      }
    },
    [Symbol.asyncDispose]: () => transport[Symbol.asyncDispose](),
  };
}

async function listAll(transport: Transport, kind: KindInfo, selection: Selection): Promise<ObjectList> {
  const { namespace, limit, signal } = selection;
  const items: KubeObject[] = [];
  let page = "";
  for (;;) {
    const answer = (await transport
      .call({
        method: "GET",
        path: collectionPath(kind, namespace),
        query: {
          limit: String(limit ?? pageLimit),
          ...(page === "" ? {} : { continue: page }),
          ...selectors(selection),
        },
        signal,
      })
      .catch(asExpired)) as unknown as {
      metadata: { resourceVersion: string; continue?: string };
      items: KubeObject[];
    };
    // Items of a list come without apiVersion and kind.
    for (const item of answer.items) items.push({ ...item, apiVersion: apiVersionOf(kind), kind: kind.kind });
    page = answer.metadata.continue ?? "";
    if (page === "" || limit !== undefined) return { items, resourceVersion: answer.metadata.resourceVersion };
  }
}

const objectPath = (kind: KindInfo, { metadata }: Named): string =>
  `${collectionPath(kind, metadata.namespace)}/${encodeURIComponent(metadata.name)}`;

function collectionPath(kind: KindInfo, namespace: string | undefined): string {
  const base = `${kind.group === "" ? "/api" : "/apis"}/${apiVersionOf(kind)}`;
  const inNamespace =
    kind.namespaced && namespace !== undefined && namespace !== ""
      ? `/namespaces/${encodeURIComponent(namespace)}`
      : "";
  return `${base}${inNamespace}/${kind.resource}`;
}

const apiVersionOf = ({ group, version }: KindInfo): string => (group === "" ? version : `${group}/${version}`);
const typeOf = (kind: KindInfo): { apiVersion: string; kind: string } => ({
  apiVersion: apiVersionOf(kind),
  kind: kind.kind,
});
const notServed = ({ apiVersion, kind }: { apiVersion: string; kind: string }, cause?: unknown): UnknownKind =>
  new UnknownKind(`the API server does not serve ${apiVersion} ${kind}`, { cause });
const selectors = ({ labelSelector, fieldSelector }: Selection): Record<string, string> => ({
  ...(labelSelector === undefined ? {} : { labelSelector }),
  ...(fieldSelector === undefined ? {} : { fieldSelector }),
});
const objectOf = (answer: Json): KubeObject => answer as unknown as KubeObject;
const named = ({ apiVersion, kind, namespace, name }: ObjectAddress): Named => ({
  apiVersion,
  kind,
  metadata: { name, ...(namespace === "" ? {} : { namespace }) },
});

function asExpired(error: unknown): never {
  if (error instanceof ApiError && error.status === 410) throw new WatchExpired(error.message, { cause: error });
  throw error;
}

/** Of a watch that could not be opened. What its own signal ended keeps that reason. */
const asAway =
  (signal: AbortSignal) =>
  (error: unknown): never => {
    const isAnswer = error instanceof UnknownKind || error instanceof KindUnavailable || error instanceof WatchExpired;
    if (signal.aborted || isAnswer || (error instanceof ApiError && error.status < 500)) throw error;
    throw new ServerAway(reasonOf(error), { cause: error });
  };

async function orUndefined(answer: Promise<KubeObject>): Promise<KubeObject | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined;
    // There is nothing of a kind that nobody serves. That its server is down would be KindUnavailable.
    if (error instanceof UnknownKind) return undefined;
    throw error;
  }
}
