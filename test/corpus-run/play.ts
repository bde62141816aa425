import { kubeconfigAccess } from "#agent/cluster/access.ts";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { openKubernetes } from "#agent/cluster/kubernetes.ts";
import type { Engine } from "#agent/engine/engine.ts";
import { Journal } from "#agent/report/journal.ts";
import { ApplicationPhase } from "#proto/gen/plumbline/agent/v1/agent.ts";
import type { Entry } from "#proto/desired-state.ts";
import { clusterId } from "#proto/ids.ts";
import { describeRef, refOf, type KubeObject } from "#proto/object.ts";
import type { CorpusCase } from "#test/corpus-run/cases.ts";
import { openCorpusKitchen } from "#test/corpus-run/render.ts";
import { startControlPlane } from "#test/harness/control-plane.ts";
import { Documents } from "#test/harness/documents.ts";
import { startEngineFor } from "#test/harness/engine.ts";

/** Left where they are by a Removal, and named: to delete one deletes what is in it, or of it. */
const protectedKinds = [
  "Namespace",
  "CustomResourceDefinition",
  "PersistentVolumeClaim",
  "PersistentVolume",
  "StatefulSet",
];
const agentNamespace = "plumbline-agent";
/** Longer than any object of the corpus takes. */
const limitMs = 100_000;

/** What became of one Application of the corpus, from rendering to Removal. */
export type CorpusRow = {
  readonly name: string;
  readonly tool: string;
  readonly objects: number;
  readonly bytes: number;
  /** Ours, and that of the plain tool's output read and put into the same form. */
  readonly digest: string;
  readonly toolDigest: string;
  readonly isApplied: boolean;
  /** Of an agent that starts again with the same document. */
  readonly secondWrites: number;
  readonly firstWrites: number;
  /** After a Removal: what should be gone and is there, what should be left and is gone, what is left and not named. */
  readonly wrongAfterRemoval: readonly string[];
};

export type CorpusStage = AsyncDisposable & { play(one: CorpusCase): Promise<CorpusRow> };

/** A real API server with controllers and a node, and an agent's engine that is started anew for each step. */
export async function openCorpusStage(): Promise<CorpusStage> {
  await using started = new AsyncDisposableStack();
  const kitchen = started.use(await openCorpusKitchen());
  const plane = started.use(await startControlPlane({ nodes: true }));
  const people = started.use(
    openKubernetes(await kubeconfigAccess(await plane.kubeconfig("people", ["system:masters"]))),
  );
  await people.create(namespaceOf(agentNamespace));
  const documents = new Documents(clusterId("corpus"));

  /** Starts an agent with this entry, and gives what `look` sees of it. */
  const withAgent = async <Seen>(
    entry: Entry,
    look: (engine: Engine, journal: Journal) => Promise<Seen>,
  ): Promise<Seen> => {
    const access = await kubeconfigAccess(await plane.kubeconfig("agent", ["system:masters"]));
    await using cluster = openKubernetes(access);
    const journal = new Journal(5_000, () => Date.now());
    await using engine = await startEngineFor(documents, { cluster, namespace: agentNamespace, journal });
    engine.take(documents.sign(entry), "");
    await engine.settled();
    return await look(engine, journal);
  };
  /** Writes of the agent to anything but its own bookkeeping. */
  const writes = async (): Promise<number> =>
    (await plane.requests()).filter(
      ({ user, verb, namespace }) =>
        user === "agent" && !["get", "list", "watch"].includes(verb) && namespace !== agentNamespace,
    ).length;
  const isThere = async (object: KubeObject): Promise<boolean> =>
    (await people.get({ ...refOf(object), apiVersion: object.apiVersion }).catch(() => undefined)) !== undefined;

  const all = started.move();
  return {
    async play(one) {
      const [ours, theirs] = await Promise.all([kitchen.ours(one), kitchen.theirs(one)]);
      const objects = [...ours.objects];
      await ensureNamespace(people, one.namespace, objects);
      // CRDs that the one before left, as it must, are taken over.
      const entry = documents.run(one.name, objects, { adopt: "take" });
      const applied = (engine: Engine, journal: Journal): Promise<boolean> =>
        until(
          () => Promise.resolve(statusOf(engine, one.name)?.phase === ApplicationPhase.APPLIED),
          () => told(engine, journal, one.name),
        );
      const begin = await writes();
      const isApplied = await withAgent(entry, applied);
      const first = await writes();
      await withAgent(entry, applied);
      const second = await writes();
      const wrongAfterRemoval = await withAgent(documents.remove(one.name, "delete"), (engine, journal) =>
        wrongIn(objects, isThere, engine, journal, one.name),
      );
      return {
        name: one.name,
        tool: one.tool,
        objects: objects.length,
        bytes: ours.bytes,
        digest: ours.digest,
        toolDigest: theirs.digest,
        isApplied,
        firstWrites: first - begin,
        secondWrites: second - first,
        wrongAfterRemoval,
      };
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

const namespaceOf = (name: string): KubeObject => ({ apiVersion: "v1", kind: "Namespace", metadata: { name } });

/** A chart leaves its namespace to whoever installs it. */
async function ensureNamespace(people: Cluster, name: string, objects: readonly KubeObject[]): Promise<void> {
  if (objects.some((object) => object.kind === "Namespace" && object.metadata.name === name)) return;
  await people.create(namespaceOf(name));
}

/** True once it holds; fails with what the agent says when it takes too long. */
async function until(holds: () => Promise<boolean>, said: () => string): Promise<true> {
  const deadline = performance.now() + limitMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(said());
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return true;
}

const statusOf = (engine: Engine, name: string) => engine.statuses().find(({ application }) => application === name);

const told = (engine: Engine, journal: Journal, name: string): string =>
  JSON.stringify(
    [
      statusOf(engine, name),
      ...journal.after(0n).flatMap(({ body }) => (body?.$case === "problem" ? [body.value] : [])),
    ].slice(0, 12),
    (_key, value: unknown) => (typeof value === "bigint" ? String(value) : value),
  );

async function wrongIn(
  objects: readonly KubeObject[],
  isThere: (object: KubeObject) => Promise<boolean>,
  engine: Engine,
  journal: Journal,
  name: string,
): Promise<string[]> {
  const { kept = [], gone = [] } = Object.groupBy(objects, ({ kind }) =>
    protectedKinds.includes(kind) ? "kept" : "gone",
  );
  for (const object of gone)
    await until(
      async () => !(await isThere(object)),
      () => `${describeRef(refOf(object))} is still there: ${told(engine, journal, name)}`,
    );
  const orphaned = journal.after(0n).flatMap(({ body }) => (body?.$case === "pruned" ? body.value.orphaned : []));
  const named = new Set(orphaned.map((ref) => `${ref.kind} ${ref.name}`));
  const wrong: string[] = [];
  for (const object of kept) {
    if (!(await isThere(object))) wrong.push(`${describeRef(refOf(object))} is gone`);
    if (!named.has(`${object.kind} ${object.metadata.name}`)) wrong.push(`${describeRef(refOf(object))} is not named`);
  }
  return wrong;
}
