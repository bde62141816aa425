import { kubeconfigAccess } from "#agent/cluster/access.ts";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { openKubernetes } from "#agent/cluster/kubernetes.ts";
import { groupOf, type KubeObject } from "#proto/object.ts";
import type { ClusterAnswer, StatusRow } from "#proto/api.ts";
import { isOfJournal, type AuditedRequest } from "#test/harness/audit-log.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { application, environment } from "#test/harness/manifests.ts";
import { startWorld, type World, type WorldOptions } from "#test/harness/world.ts";

export type Stage = "dev" | "staging" | "prod";

/** A fleet of three stages on two real API servers: dev on its own, staging and prod side by side on the other. */
export type Trio = AsyncDisposable & {
  readonly world: World;
  readonly planes: Readonly<Record<Stage, ControlPlane>>;
  /** Somebody with all rights and a client of their own. */
  readonly people: Readonly<Record<Stage, Cluster>>;
  /** The agent's user name at its API server, as the audit log has it. */
  readonly agentUser: (stage: Stage) => string;
  startAgent(stage: Stage): void;
  /** Declares an Application whose manifests lie in apps/NAME/STAGE/, with these files for each stage. */
  deploy(
    name: string,
    files: Partial<Record<Stage, Readonly<Record<string, string | null>>>>,
    spec?: object,
  ): Promise<string>;
  row(stage: Stage, name: string): Promise<StatusRow | undefined>;
  /** Until the stage's agent has applied it, and written down that it has: it need not be healthy. */
  applied(stage: Stage, name: string): Promise<void>;
  /** Until the record says that the stage's receipts prove this revision: a moment after its clusters are seen to be healthy. */
  proved(stage: Stage, name: string, revision: string): Promise<void>;
  /** Until every cluster of the stage runs this revision, healthy. */
  settled(stage: Stage, name: string, revision?: string): Promise<void>;
  get(stage: Stage, apiVersion: string, kind: string, namespace: string, name: string): Promise<KubeObject | undefined>;
  /** Writes of a stage's agent so far, by verb and resource. */
  writes(stage: Stage): Promise<Record<string, number>>;
  /** The same, without those of its journal. */
  writesButJournal(stage: Stage): Promise<Record<string, number>>;
};

export const clusterOf = (stage: Stage): string => `${stage}-1`;
const agentNamespace = (stage: Stage): string => (stage === "prod" ? "plumbline-agent-prod" : "plumbline-agent");
const stages: readonly Stage[] = ["dev", "staging", "prod"];

export async function startTrio(options: WorldOptions = {}): Promise<Trio> {
  await using started = new AsyncDisposableStack();
  // Each is taken into care as it comes, so that one that fails leaves no other running.
  const begun = [0, 1].map(async () => started.use(await startControlPlane()));
  await Promise.allSettled(begun);
  const [first, second] = (await Promise.all(begun)) as [ControlPlane, ControlPlane];
  const planes = { dev: first, staging: second, prod: second };
  const world = started.use(await startWorld(options));
  const people: Record<string, Cluster> = {};
  const kubeconfigs: Record<string, string> = {};
  for (const stage of stages) {
    people[stage] = started.use(
      openKubernetes(await kubeconfigAccess(await planes[stage].kubeconfig(`people-${stage}`, ["system:masters"])), {
        manager: "kubectl-edit",
      }),
    );
    kubeconfigs[stage] = await planes[stage].kubeconfig(`agent-${stage}`, ["system:masters"]);
  }
  await world.startHub();
  await world.git.commit(
    "fleet",
    "main",
    {
      "fleet/environments.yaml": [
        environment("dev", { follow: "main" }),
        environment("staging", { promotedFrom: ["dev"] }),
        environment("prod", { promotedFrom: ["staging"] }),
      ].join("---\n"),
    },
    "three stages",
  );
  for (const stage of stages) {
    const answer = await world.register(clusterOf(stage), { env: stage });
    await world.join(clusterOf(stage), answer, kubeconfigs[stage]!, "--namespace", agentNamespace(stage));
  }
  const all = started.move();
  const writes = async (stage: Stage, isCounted: (request: AuditedRequest) => boolean) => {
    const counts: Record<string, number> = {};
    for (const request of await planes[stage].requests())
      if (request.user === `agent-${stage}` && !["get", "list", "watch"].includes(request.verb) && isCounted(request))
        counts[`${request.verb} ${request.resource}`] = (counts[`${request.verb} ${request.resource}`] ?? 0) + 1;
    return counts;
  };
  const row: Trio["row"] = async (stage, name) =>
    (await world.status()).rows.find((row) => row.environment === stage && row.application === name);
  return {
    world,
    planes,
    people: people as Record<Stage, Cluster>,
    agentUser: (stage) => `agent-${stage}`,
    startAgent: (stage) =>
      void world.startAgent(clusterOf(stage), kubeconfigs[stage]!, "--namespace", agentNamespace(stage)),
    deploy: (name, files, spec = {}) => {
      const path = `apps/${name}/\${environment}`;
      const changes: Record<string, string | null> = {
        [`fleet/applications/${name}.yaml`]: application(name, {
          path,
          namespace: name,
          environments: [...stages],
          ...spec,
        }),
      };
      for (const [stage, own] of Object.entries(files))
        for (const [file, text] of Object.entries(own)) changes[`apps/${name}/${stage}/${file}`] = text;
      return world.git.commit("fleet", "main", changes, `${name} changes`);
    },
    row,
    applied: (stage, name) =>
      world.until(`${name} to be applied in ${stage}`, async () => {
        const { running } = await world.ask<ClusterAnswer>("cluster", "show", clusterOf(stage));
        return running.some(({ application, phase }) => application === name && phase === "Applied");
      }),
    proved: (stage, name, revision) =>
      world.until(`${name} to be proved in ${stage}`, async () =>
        (await world.recorded(`record/${stage}/${name}.yaml`)).includes(revision),
      ),
    settled: (stage, name, revision) =>
      world.until(`${name} to settle in ${stage}`, async () => {
        const found = await row(stage, name);
        const isThere =
          revision === undefined || (found?.revisions.length === 1 && found.revisions[0]!.revision === revision);
        return found !== undefined && found.clusters > 0 && found.settled === found.clusters && isThere;
      }),
    get: (stage, apiVersion, kind, namespace, name) =>
      people[stage]!.get({ apiVersion, group: groupOf(apiVersion), kind, namespace, name }),
    writes: (stage) => writes(stage, () => true),
    writesButJournal: (stage) => writes(stage, (request) => !isOfJournal(request)),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}
