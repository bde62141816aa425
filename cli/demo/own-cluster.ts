import { createInterface } from "node:readline/promises";
import { kubeconfigAccess } from "#agent/cluster/access.ts";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { openKubernetes } from "#agent/cluster/kubernetes.ts";
import type { Member } from "#cli/demo/members.ts";
import { CliError, exitCode, usage } from "#cli/errors.ts";
import { hint } from "#cli/output.ts";
import { systemClock } from "#lib/clock.ts";
import type { KubeObject } from "#proto/object.ts";

/** The only two namespaces of your cluster that the demo touches: the shop's, and its agent's. */
export const ownNamespaces = { shop: "plumbline-demo", agent: "plumbline-demo-agent" } as const;

/** A namespace with Pods in it is gone after their grace period of 30 s. */
const goneLimitMs = 90_000;
const lookEveryMs = 250;

export type OwnCluster = { readonly kubeconfig: string; readonly context?: string; readonly yes?: boolean };

/**
 * A cluster of the user's as one of the demo's, in two namespaces that the demo makes and, when it is disposed, deletes:
 * those very ones, by uid. Throws when one of them exists already, or the user says no.
 */
export async function ownMember(
  { name, labels }: Pick<Member, "name" | "labels">,
  own: OwnCluster,
  signal: AbortSignal,
): Promise<Member> {
  await using started = new AsyncDisposableStack();
  const access = await kubeconfigAccess(own.kubeconfig, own.context);
  const cluster = started.use(openKubernetes(access));
  const people = started.use(openKubernetes(access, { manager: "kubectl-scale" }));
  const version = await cluster.version(signal);
  for (const namespace of Object.values(ownNamespaces)) await mustBeFree(cluster, namespace, signal);
  await consent(`${access.server} (Kubernetes ${version})`, name, own.yes === true, signal);
  for (const namespace of Object.values(ownNamespaces)) {
    const { metadata } = await cluster.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } });
    started.defer(() => removeNamespace(cluster, namespace, String(metadata["uid"])));
  }
  const all = started.move();
  return {
    name,
    labels,
    cluster,
    agentNamespace: ownNamespaces.agent,
    get: (ref) => people.get(ref),
    async meddle(ref, _manager, change) {
      const object = (await people.get(ref))!;
      change(object);
      await people.replace(object);
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

const readNamespace = (cluster: Cluster, name: string, signal?: AbortSignal): Promise<KubeObject | undefined> =>
  cluster.get({ apiVersion: "v1", group: "", kind: "Namespace", namespace: "", name }, signal);

async function mustBeFree(cluster: Cluster, name: string, signal: AbortSignal): Promise<void> {
  if ((await readNamespace(cluster, name, signal)) === undefined) return;
  throw new CliError(
    exitCode.failed,
    `the namespace ${name} exists already, and the demo deletes only what it made`,
    `if an earlier demo left it behind: kubectl delete namespace ${name}`,
  );
}

async function consent(where: string, name: string, isGiven: boolean, signal: AbortSignal): Promise<void> {
  const said = `The demo plays ${name} on ${where}, with the rights of this kubeconfig.
It makes the namespaces ${ownNamespaces.shop} and ${ownNamespaces.agent}, writes nothing else, and deletes both when it ends.`;
  hint(said);
  if (isGiven) return;
  if (!process.stdin.isTTY) throw usage("nobody is there to ask: add --yes to go on");
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await lines.question("Go on? [y/N] ", { signal });
    if (!/^y(es)?$/i.test(answer.trim())) throw new CliError(exitCode.no, "nothing was done");
  } finally {
    lines.close();
  }
}

async function removeNamespace(cluster: Cluster, name: string, uid: string): Promise<void> {
  await cluster.delete({ apiVersion: "v1", group: "", kind: "Namespace", namespace: "", name }, { uid });
  const deadline = performance.now() + goneLimitMs;
  while ((await readNamespace(cluster, name))?.metadata["uid"] === uid) {
    if (performance.now() > deadline)
      return hint(`the namespace ${name} is still going away: kubectl get namespace ${name}`);
    await systemClock.sleep(lookEveryMs);
  }
}
