import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { kubeconfigAccess } from "#agent/cluster/access.ts";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { openKubernetes } from "#agent/cluster/kubernetes.ts";
import type { Engine } from "#agent/engine/engine.ts";
import { Journal } from "#agent/report/journal.ts";
import { ApplicationPhase } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { clusterId } from "#proto/ids.ts";
import { describeRef, refOf, type KubeObject } from "#proto/object.ts";
import { cases } from "#test/corpus-run/cases.ts";
import { openCorpusKitchen, type CorpusKitchen } from "#test/corpus-run/render.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
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

let kitchen: CorpusKitchen;
let plane: ControlPlane;
let people: Cluster;
const documents = new Documents(clusterId("corpus"));
const table: string[] = [];
beforeAll(async () => {
  kitchen = await openCorpusKitchen();
  plane = await startControlPlane({ nodes: true });
  people = openKubernetes(await kubeconfigAccess(await plane.kubeconfig("people", ["system:masters"])));
  await people.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: "plumbline-agent" } });
});
afterAll(async () => {
  process.stdout.write(`${table.join("\n")}\n`);
  await people?.[Symbol.asyncDispose]();
  await plane?.[Symbol.asyncDispose]();
  await kitchen?.[Symbol.asyncDispose]();
});

type Running = AsyncDisposable & { readonly engine: Engine; readonly journal: Journal };

async function startAgent(): Promise<Running> {
  const cluster = openKubernetes(await kubeconfigAccess(await plane.kubeconfig("agent", ["system:masters"])));
  const journal = new Journal(5_000, () => Date.now());
  const engine = await startEngineFor(documents, { cluster, namespace: "plumbline-agent", journal });
  return {
    engine,
    journal,
    async [Symbol.asyncDispose]() {
      await engine[Symbol.asyncDispose]();
      await cluster[Symbol.asyncDispose]();
    },
  };
}

/** Fails with what the agent says when it takes longer than any object of the corpus does. */
async function until(holds: () => boolean | Promise<boolean>, said: () => string): Promise<void> {
  const deadline = performance.now() + 100_000;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(said());
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Writes of the agent to anything but its own bookkeeping. */
const writes = async (): Promise<number> =>
  (await plane.requests()).filter(
    ({ user, verb, namespace }) =>
      user === "agent" && !["get", "list", "watch"].includes(verb) && namespace !== "plumbline-agent",
  ).length;

const isThere = async (object: KubeObject): Promise<boolean> =>
  (await people.get({ ...refOf(object), apiVersion: object.apiVersion }).catch(() => undefined)) !== undefined;

describe.each(cases)("$name", (one) => {
  test("comes out byte for byte as the plain tool gives it, is applied, costs no second write, and is removed", async () => {
    const [ours, theirs] = await Promise.all([kitchen.ours(one), kitchen.theirs(one)]);
    expect(ours.digest).toBe(theirs.digest);
    const objects = [...ours.objects];
    // A chart leaves its namespace to whoever installs it.
    if (!objects.some((object) => object.kind === "Namespace" && object.metadata.name === one.namespace))
      await people.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: one.namespace } });
    // CRDs that the one before left, as it must, are taken over.
    const entry = documents.run(one.name, objects, { adopt: "take" });
    const status = (engine: Engine) => engine.statuses().find(({ application }) => application === one.name);
    const isApplied = (running: Running) => () => status(running.engine)?.phase === ApplicationPhase.APPLIED;
    const told = (running: Running) => () =>
      JSON.stringify(
        [
          status(running.engine),
          ...running.journal.after(0n).flatMap(({ body }) => (body?.$case === "problem" ? [body.value] : [])),
        ].slice(0, 12),
        (_key, value: unknown) => (typeof value === "bigint" ? String(value) : value),
      );
    {
      await using running = await startAgent();
      running.engine.take(documents.sign(entry), "");
      await running.engine.settled();
      await until(isApplied(running), told(running));
    }
    const before = await writes();
    expect(before).toBeGreaterThanOrEqual(objects.length);
    {
      await using running = await startAgent();
      running.engine.take(documents.sign(entry), "");
      await running.engine.settled();
      await until(isApplied(running), told(running));
    }
    const second = (await writes()) - before;
    table.push(`| ${one.name} | ${one.tool} | ${objects.length} | ${ours.bytes} | yes | yes | ${second} |`);
    expect(second).toBe(0);
    await using running = await startAgent();
    running.engine.take(documents.sign(documents.remove(one.name, "delete")), "");
    await running.engine.settled();
    const kept = objects.filter(({ kind }) => protectedKinds.includes(kind));
    const gone = objects.filter(({ kind }) => !protectedKinds.includes(kind));
    for (const object of gone)
      await until(
        async () => !(await isThere(object)),
        () => `${describeRef(refOf(object))} is still there: ${told(running)()}`,
      );
    for (const object of kept) expect(await isThere(object), describeRef(refOf(object))).toBe(true);
    const orphaned = running.journal
      .after(0n)
      .flatMap(({ body }) => (body?.$case === "pruned" ? body.value.orphaned : []));
    const named = new Set(orphaned.map(({ kind, name }) => `${kind} ${name}`));
    expect(kept.map(({ kind, metadata: { name } }) => `${kind} ${name}`).filter((name) => !named.has(name))).toEqual(
      [],
    );
  }, 240_000);
});
