import type { KindInfo } from "#agent/cluster/cluster.ts";
import type { Transport } from "#agent/cluster/transport.ts";

/**
 * Aggregated discovery (KEP-3352, stable since Kubernetes 1.30): two GETs instead of one a group and version. A server
 * without it answers with the plain lists of groups.
 */
const accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

export type Discovered = {
  /** By `kindKey`, in the order in which the server prefers versions. */
  readonly kinds: ReadonlyMap<string, KindInfo>;
  /** Groups of which nobody can tell now what they serve: their own server is down. What is missing there is not gone. */
  readonly silent: ReadonlySet<string>;
};

export const kindKey = (group: string, version: string, kind: string): string => `${group}/${version}/${kind}`;

type Resource = {
  resource: string;
  responseKind?: { group: string; version: string; kind: string };
  scope: "Namespaced" | "Cluster";
  verbs: string[];
};
type Version = { version: string; freshness?: string; resources?: Resource[] };
type Aggregated = { kind: "APIGroupDiscoveryList"; items?: { metadata?: { name?: string }; versions: Version[] }[] };
type Plain =
  | { kind: "APIVersions"; versions: string[] }
  | { kind: "APIGroupList"; groups: { name: string; versions: { version: string }[] }[] };
type PlainResources = { resources?: { name: string; kind: string; namespaced: boolean; verbs: string[] }[] };
type Known = { readonly group: string; readonly version: string; readonly kinds: readonly KindInfo[] | undefined };

/** Every kind that the server serves now. Throws when the server itself does not answer. */
export async function discover(transport: Transport, signal?: AbortSignal): Promise<Discovered> {
  const lists = await Promise.all(
    ["/api", "/apis"].map((path) => transport.call({ method: "GET", path, accept, signal }) as Promise<unknown>),
  );
  const told = (lists as (Aggregated | Plain)[]).flatMap((list) =>
    list.kind === "APIGroupDiscoveryList" ? aggregated(list) : plain(list),
  );
  // What a list does not say of a group, the group itself may.
  const known = await Promise.all(
    told.map(async (one) => (one.kinds === undefined ? { ...one, kinds: await ask(transport, one, signal) } : one)),
  );
  signal?.throwIfAborted();
  const kinds = known.flatMap((one) => one.kinds ?? []);
  return {
    kinds: new Map(kinds.map((info) => [kindKey(info.group, info.version, info.kind), info])),
    silent: new Set(known.filter((one) => one.kinds === undefined).map(({ group }) => group)),
  };
}

function aggregated(list: Aggregated): Known[] {
  return (list.items ?? []).flatMap(({ metadata, versions }) =>
    versions.map(({ version, freshness, resources }) => {
      const group = metadata?.name ?? "";
      const kinds = (resources ?? []).map((resource) => ({
        group,
        version,
        kind: resource.responseKind?.kind ?? "",
        resource: resource.resource,
        namespaced: resource.scope === "Namespaced",
        verbs: resource.verbs,
      }));
      // Stale: what the group's own server said when it last answered, which may be never.
      return { group, version, kinds: freshness === "Stale" ? undefined : kinds };
    }),
  );
}

function plain(list: Plain): Known[] {
  const kinds = undefined;
  if (list.kind === "APIVersions") return list.versions.map((version) => ({ group: "", version, kinds }));
  return list.groups.flatMap(({ name, versions }) => versions.map(({ version }) => ({ group: name, version, kinds })));
}

/** One group and version by itself; undefined when it does not answer. */
async function ask(
  transport: Transport,
  { group, version }: { group: string; version: string },
  signal?: AbortSignal,
): Promise<KindInfo[] | undefined> {
  const path = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
  try {
    const { resources = [] } = (await transport.call({ method: "GET", path, signal })) as unknown as PlainResources;
    return resources
      .filter(({ name }) => !name.includes("/"))
      .map(({ name, kind, namespaced, verbs }) => ({ group, version, kind, resource: name, namespaced, verbs }));
  } catch {
    return undefined;
  }
}
