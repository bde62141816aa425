import { kubeconfigAccess } from "#agent/cluster/access.ts";
import { openKubernetes } from "#agent/cluster/kubernetes.ts";
import type { Member } from "#cli/demo/members.ts";
import { startControlPlane } from "#test/harness/control-plane.ts";

/** Real API servers, each with its own etcd, controllers, scheduler and a node of kwok's: Deployments truly roll out. */
export const realMembers = (
  clusters: readonly { name: string; labels: Readonly<Record<string, string>> }[],
): Promise<Member[]> => Promise.all(clusters.map(({ name, labels }) => realMember(name, labels)));

async function realMember(name: string, labels: Readonly<Record<string, string>>): Promise<Member> {
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
    async meddle(ref, _manager, change) {
      const object = (await people.get(ref))!;
      change(object);
      await people.replace(object);
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}
