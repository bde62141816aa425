import { defaultNamespace } from "#agent/config.ts";
import { kubeconfigAccess } from "#agent/cluster/access.ts";
import { openKubernetes } from "#agent/cluster/kubernetes.ts";
import type { Member } from "#cli/demo/members.ts";
import { startControlPlane } from "#test/harness/control-plane.ts";

export type RealMember = Member & {
  /** Writes of its agent so far to anything but what it keeps for itself, as the API server recorded them. */
  writes(): Promise<number>;
};

/** Real API servers, each with its own etcd, controllers, scheduler and a node of kwok's: Deployments truly roll out. */
export const realMembers = (
  clusters: readonly { name: string; labels: Readonly<Record<string, string>> }[],
): Promise<RealMember[]> => Promise.all(clusters.map(({ name, labels }) => realMember(name, labels)));

async function realMember(name: string, labels: Readonly<Record<string, string>>): Promise<RealMember> {
  await using started = new AsyncDisposableStack();
  const plane = started.use(await startControlPlane({ nodes: true }));
  const access = async (user: string) => kubeconfigAccess(await plane.kubeconfig(user, ["system:masters"]));
  const cluster = started.use(openKubernetes(await access("agent")));
  const people = started.use(openKubernetes(await access("people"), { manager: "kubectl-scale" }));
  const all = started.move();
  return {
    name,
    labels,
    cluster,
    get: (ref) => people.get(ref),
    writes: async () =>
      (await plane.requests()).filter(
        ({ user, verb, namespace }) =>
          user === "agent" && !["get", "list", "watch"].includes(verb) && namespace !== defaultNamespace,
      ).length,
    async meddle(ref, _manager, change) {
      const object = (await people.get(ref))!;
      change(object);
      await people.replace(object);
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}
