import { kubeconfigAccess } from "#agent/cluster/access.ts";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { openKubernetes } from "#agent/cluster/kubernetes.ts";
import type { SimulatedRequest } from "#agent/cluster/simulated/faults.ts";
import { createSimulatedCluster, type SimulatedCluster } from "#agent/cluster/simulated/simulated.ts";
import { openTransport, type Transport } from "#agent/cluster/transport.ts";
import type { Clock } from "#lib/clock.ts";
import { refOf, type JsonObject, type KubeObject } from "#proto/object.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import type { SharedControlPlane } from "#test/harness/shared-control-plane.ts";

/** Requests by "verb resource"; a dry run is no write and counts as one of its own. */
export type Counts = Record<string, number>;

export type AgentOptions = {
  readonly groups?: readonly string[];
  /** By which its watches are called silent. */
  readonly clock?: Clock;
};

/** The API server that a case runs on. */
export type Backend = AsyncDisposable & {
  /** Undefined on the simulated one, and on one that others use too. */
  readonly plane: ControlPlane | undefined;
  /** Undefined on the real one. */
  readonly simulated: SimulatedCluster | undefined;
  /** A connection of an agent under a user of its own. `groups`: of that user, who may do everything without them. */
  agent(user: string, options?: AgentOptions): Promise<Cluster>;
  /** Somebody else, under a field manager's name. */
  as(manager: string): Promise<Cluster>;
  /** A controller writes the status of a Deployment, a Job or a Pod. */
  writeStatus(object: KubeObject, status: JsonObject): Promise<void>;
  /** What that agent asked for so far, without the Secrets of its memory in `namespace`. */
  requests(user: string, namespace: string): Promise<Counts>;
};

export async function realBackend(options: { controllerManager?: boolean } = {}): Promise<Backend> {
  await using started = new AsyncDisposableStack();
  const plane = started.use(await startControlPlane(options));
  const backend = started.use(backendOn(plane));
  const all = started.move();
  return { ...backend, plane, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

/** On an API server that somebody else starts and ends. */
export function backendOn(plane: SharedControlPlane): Backend {
  const all = new AsyncDisposableStack();
  const people = new Map<string, Cluster>();
  const open = async (
    user: string,
    { groups = ["system:masters"], ...options }: AgentOptions & { manager?: string } = {},
  ): Promise<Cluster> => openKubernetes(await kubeconfigAccess(await plane.kubeconfig(user, groups)), options);
  let transport: Transport | undefined;
  return {
    plane: undefined,
    simulated: undefined,
    agent: (user, options) => open(user, options),
    async as(manager) {
      const known = people.get(manager) ?? all.use(await open("people", { manager }));
      people.set(manager, known);
      return known;
    },
    async writeStatus(object, status) {
      transport ??= all.use(
        openTransport(await kubeconfigAccess(await plane.kubeconfig("kubelet", ["system:masters"]))),
      );
      const { namespace = "", name } = object.metadata;
      const root = object.apiVersion.includes("/") ? "/apis" : "/api";
      const path = `${root}/${object.apiVersion}/namespaces/${namespace}/${object.kind.toLowerCase()}s/${name}/status`;
      const body = { status };
      await transport.call({ method: "PATCH", path, contentType: "application/merge-patch+json", body: body });
    },
    async requests(user, namespace) {
      const own = (await plane.requests()).filter((request) => request.user === user);
      const others = own.filter((request) => request.namespace !== namespace);
      return count(
        others.map(({ verb, resource, uri }) => `${uri.includes("dryRun=All") ? "dry-run" : verb} ${resource}`),
      );
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

export function simulatedBackend(): Backend {
  const simulated = createSimulatedCluster();
  const seen = new Map<string, { namespace: string; name: string }[]>();
  return {
    plane: undefined,
    simulated,
    async agent(user) {
      if (!seen.has(user)) {
        const own: { namespace: string; name: string }[] = [];
        seen.set(user, own);
        // Matches nothing: it only looks at what passes.
        const look = ({ manager, verb, resource, namespace, isDryRun }: SimulatedRequest): boolean => {
          if (manager === "plumbline") own.push({ namespace, name: `${isDryRun ? "dry-run" : verb} ${resource}` });
          return false;
        };
        simulated.before(look, () => undefined);
      }
      return simulated.connect();
    },
    as: async (manager) => simulated.connect(manager),
    async writeStatus(object, status) {
      const address = { ...refOf(object), apiVersion: object.apiVersion };
      simulated.edit(address, (there) => (there["status"] = status), { manager: "kubelet", subresource: "status" });
    },
    requests: async (user, namespace) =>
      count((seen.get(user) ?? []).filter((request) => request.namespace !== namespace).map(({ name }) => name)),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/**
 * Looks for why an object is not well have tests of their own. Real controllers write status by another clock than the
 * agent's here, and each status is a reason to look.
 */
const looks = new Set(["list pods", "list replicasets", "list events"]);

function count(names: readonly string[]): Counts {
  const counts: Counts = {};
  for (const name of names.filter((name) => !looks.has(name))) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}
