import type { KindInfo } from "#agent/cluster/cluster.ts";
import type { Transport } from "#agent/cluster/transport.ts";

/** Aggregated discovery (KEP-3352, stable since Kubernetes 1.30): two GETs instead of one a group and version. */
const accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

type GroupList = {
  kind?: string;
  items?: { metadata?: { name?: string }; versions: { version: string; resources?: Resource[] }[] }[];
};
type Resource = {
  resource: string;
  responseKind?: { group: string; version: string; kind: string };
  scope: "Namespaced" | "Cluster";
  verbs: string[];
};

/** Every kind the server serves now, by "group/version/Kind". A group whose own server is down is missing, not gone. */
export async function discover(transport: Transport, signal?: AbortSignal): Promise<Map<string, KindInfo>> {
  const lists = await Promise.all(
    ["/api", "/apis"].map((path) => transport.call({ method: "GET", path, accept, signal }) as Promise<unknown>),
  );
  return new Map(
    (lists as GroupList[]).flatMap(kindsOf).map((info) => [kindKey(info.group, info.version, info.kind), info]),
  );
}

export const kindKey = (group: string, version: string, kind: string): string => `${group}/${version}/${kind}`;

function kindsOf(list: GroupList): KindInfo[] {
  if (list.kind !== "APIGroupDiscoveryList")
    throw new Error("the API server has no aggregated discovery; Kubernetes 1.30 or newer is needed");
  return (list.items ?? []).flatMap((group) =>
    group.versions.flatMap(({ version, resources }) =>
      (resources ?? []).map((resource) => ({
        group: group.metadata?.name ?? "",
        version,
        kind: resource.responseKind?.kind ?? "",
        resource: resource.resource,
        namespaced: resource.scope === "Namespaced",
        verbs: resource.verbs,
      })),
    ),
  );
}
