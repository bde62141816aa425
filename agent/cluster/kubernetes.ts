import type { Access } from "#agent/cluster/access.ts";
import {
  fieldManager,
  type Cluster,
  type KindInfo,
  type ObjectAddress,
  type ObjectList,
  type Selection,
} from "#agent/cluster/cluster.ts";
import { discover, kindKey } from "#agent/cluster/discovery.ts";
import { ApiError, UnknownKind, WatchExpired } from "#agent/cluster/errors.ts";
import { openTransport, type Transport } from "#agent/cluster/transport.ts";
import { guardSilence, readWatch, silenceLimitMs } from "#agent/cluster/watch.ts";
import type { Clock } from "#lib/clock.ts";
import { groupOf, type Json, type KubeObject } from "#proto/object.ts";

/** Objects a page: an answer of a few megabytes at the most, whatever the size of the cluster. */
const pageLimit = 500;

type Named = { apiVersion: string; kind: string; metadata: { name: string; namespace?: string } };

export type KubernetesOptions = {
  readonly silenceMs?: number;
  /** By which a watch is called silent. */
  readonly clock?: Clock;
  /** Another field manager than the agent's. */
  readonly manager?: string;
};

/** A real cluster. Opens no connection before the first call. */
export function openKubernetes(access: Access, options: KubernetesOptions = {}): Cluster {
  const transport = openTransport(access);
  const kinds = kindsOf(transport);
  const silenceMs = options.silenceMs ?? silenceLimitMs;
  const manager = options.manager ?? fieldManager;

  const pathTo = async (object: Named, signal?: AbortSignal): Promise<string> => {
    const kind = await kinds.find(object.apiVersion, object.kind, signal);
    if (kind === undefined) throw new UnknownKind(`the API server does not serve ${object.apiVersion} ${object.kind}`);
    return `${collectionPath(kind, object.metadata.namespace)}/${encodeURIComponent(object.metadata.name)}`;
  };

  return {
    async version(signal) {
      const said = (await transport.call({ method: "GET", path: "/version", signal })) as { gitVersion?: string };
      return said.gitVersion ?? "unknown";
    },
    kindOf: kinds.find,
    async apply(object, { force = false, dryRun = false, signal } = {}) {
      const answer = await transport.call({
        method: "PATCH",
        path: await pathTo(object, signal),
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
      return objectOf(answer);
    },
    async get(address, signal) {
      const path = await pathTo(named(address), signal);
      return orUndefined(transport.call({ method: "GET", path, signal }).then(objectOf));
    },
    list: (kind, selection = {}) => listAll(transport, kind, selection),
    async *watch(kind, resourceVersion, { namespace, labelSelector, signal } = {}) {
      const query = { watch: "true", allowWatchBookmarks: "true", resourceVersion, ...selector(labelSelector) };
      const open = (either: AbortSignal): Promise<AsyncIterable<Uint8Array>> =>
        transport
          .stream({ method: "GET", path: collectionPath(kind, namespace), query, signal: either })
          .catch(asExpired);
      yield* readWatch(guardSilence(open, silenceMs, signal, options.clock));
    },
    async create(object, signal) {
      const kind = await kinds.find(object.apiVersion, object.kind, signal);
      if (kind === undefined)
        throw new UnknownKind(`the API server does not serve ${object.apiVersion} ${object.kind}`);
      const path = collectionPath(kind, object.metadata.namespace);
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
      const path = await pathTo(named(address), signal);
      try {
        await transport.call({ method: "DELETE", path, body, signal });
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

/** Kinds by name, found again when one is not known: a CRD may have come since. */
function kindsOf(transport: Transport): { find: Cluster["kindOf"] } {
  let known: Promise<Map<string, KindInfo>> | undefined;
  const refresh = (signal?: AbortSignal): Promise<Map<string, KindInfo>> => {
    known = discover(transport, signal);
    // A failed look is not remembered; the next caller looks again.
    known.catch(() => (known = undefined));
    return known;
  };
  return {
    async find(apiVersion, kind, signal) {
      const version = apiVersion.slice(apiVersion.indexOf("/") + 1);
      const key = kindKey(groupOf(apiVersion), version, kind);
      const had = known;
      const found = (await (had ?? refresh(signal))).get(key);
      if (found !== undefined || had === undefined) return found;
      // Callers that miss together share one refresh.
      return (await (known === had ? refresh(signal) : (known ?? refresh(signal)))).get(key);
    },
  };
}

async function listAll(
  transport: Transport,
  kind: KindInfo,
  { namespace, labelSelector, signal }: Selection,
): Promise<ObjectList> {
  const items: KubeObject[] = [];
  let page = "";
  for (;;) {
    const answer = (await transport
      .call({
        method: "GET",
        path: collectionPath(kind, namespace),
        query: { limit: String(pageLimit), ...(page === "" ? {} : { continue: page }), ...selector(labelSelector) },
        signal,
      })
      .catch(asExpired)) as unknown as {
      metadata: { resourceVersion: string; continue?: string };
      items: KubeObject[];
    };
    // Items of a list come without apiVersion and kind.
    for (const item of answer.items) items.push({ ...item, apiVersion: apiVersionOf(kind), kind: kind.kind });
    page = answer.metadata.continue ?? "";
    if (page === "") return { items, resourceVersion: answer.metadata.resourceVersion };
  }
}

function collectionPath(kind: KindInfo, namespace: string | undefined): string {
  const base = `${kind.group === "" ? "/api" : "/apis"}/${apiVersionOf(kind)}`;
  const inNamespace =
    kind.namespaced && namespace !== undefined && namespace !== ""
      ? `/namespaces/${encodeURIComponent(namespace)}`
      : "";
  return `${base}${inNamespace}/${kind.resource}`;
}

const apiVersionOf = ({ group, version }: KindInfo): string => (group === "" ? version : `${group}/${version}`);
const selector = (labelSelector: string | undefined): Record<string, string> =>
  labelSelector === undefined ? {} : { labelSelector };
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

async function orUndefined(answer: Promise<KubeObject>): Promise<KubeObject | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined;
    throw error;
  }
}
