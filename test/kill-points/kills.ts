import { expect } from "vitest";
import { kubeconfigAccess } from "#agent/cluster/access.ts";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { openKubernetes } from "#agent/cluster/kubernetes.ts";
import type { Engine } from "#agent/engine/engine.ts";
import { Journal } from "#agent/report/journal.ts";
import { openState } from "#agent/state/store.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { clusterId } from "#proto/ids.ts";
import { refKey, refOf, type KubeObject } from "#proto/object.ts";
import { lifeOn } from "#test/convergence/mortal.ts";
import { Documents } from "#test/harness/documents.ts";
import type { SharedControlPlane } from "#test/harness/shared-control-plane.ts";
import { startEngineFor } from "#test/harness/engine.ts";

/** Where an agent dies in an apply: at its nth write, before it is sent, or after it was done and before its answer. */
export type KillPoint = { readonly write: number; readonly moment: "before" | "after" };

/** Applied and confirmed before; the revision in which the agent dies leaves them as they are. */
const confirmed = 40;
/** What that revision makes and changes, and how much of it is there already. */
export const changed = 300;
const changedInPlace = 100;
/** What it has no more: deleted after all else is applied, unless the agent is dead by then. */
export const leaving = 5;

/**
 * An agent dies in the apply of 300 objects and the prune of a few, and the next one goes on. Fails when an object is left over, when drift is
 * told that nobody made, or when an object is written a second time.
 */
export async function dieAndGoOn(plane: SharedControlPlane, name: string, point: KillPoint): Promise<void> {
  const namespace = `kill-${name}`;
  const agentNamespace = `kill-agent-${name}`;
  const documents = new Documents(clusterId(`kill-${name}`));
  const journal = new Journal(1_000, () => Date.now());
  await using cluster = openKubernetes(
    await kubeconfigAccess(await plane.kubeconfig(`agent-${namespace}`, ["system:masters"])),
  );
  await cluster.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: agentNamespace } });
  const live = async (seen: Cluster, act: (engine: Engine) => Promise<void>): Promise<void> => {
    await using engine = await startEngineFor(documents, {
      cluster: seen,
      namespace: agentNamespace,
      journal,
      clock: new VirtualClock(),
    });
    await act(engine);
  };
  const take = async (engine: Engine, bytes: Uint8Array): Promise<void> => {
    engine.take(bytes, "");
    await engine.settled();
  };

  const before = objects(namespace, confirmed + changedInPlace, "one");
  const gone = Array.from({ length: leaving }, (_, n) => settings(namespace, `gone-${n}`, "one"));
  await live(cluster, (engine) => take(engine, documents.sign(documents.run("shop", [...before, ...gone]))));
  const versions = await versionsOf(cluster, namespace);

  const after = [
    ...before.slice(0, confirmed + 1),
    ...objects(namespace, confirmed + changed, "two").slice(confirmed + 1),
  ];
  const newer = documents.sign(documents.run("shop", after));
  const life = lifeOn(cluster);
  await live(life.cluster, async (engine) => {
    life.killAt(point.write, point.moment);
    // One that is dead comes to no rest: it would try again.
    await Promise.race([take(engine, newer), until(() => life.isDead())]);
  });
  expect(life.isDead()).toBe(true);

  const atDeath = await versionsOf(cluster, namespace);
  const known = (await openState(cluster, agentNamespace).load()).heads[0]!.inventory;
  const applied: string[] = [];
  await live(counting(cluster, applied), (engine) => take(engine, newer));

  expect(journal.after(0n).flatMap(({ body }) => (body?.$case === "drift" ? [body.value] : []))).toEqual([]);
  const wanted = after.map((object) => refKey(refOf(object))).sort();
  const { heads, problems } = await openState(cluster, agentNamespace).load();
  expect(problems).toEqual([]);
  expect([...heads[0]!.inventory.keys()].sort()).toEqual(wanted);
  expect([...heads[0]!.inventory.values()].every(({ baseline, uid }) => baseline !== null && uid !== "")).toBe(true);
  const now = await versionsOf(cluster, namespace);
  expect([...now.keys()].sort()).toEqual(wanted.filter((key) => key.startsWith("/ConfigMap/")));
  // Confirmed, and wanted as it is: not even asked about.
  const isSettled = (key: string): boolean => (known.get(key)?.baseline ?? null) !== null;
  const untouched = after.slice(0, confirmed + 1).map((object) => refKey(refOf(object)));
  expect(applied.filter((key) => isSettled(key) && untouched.includes(key))).toEqual([]);
  for (const [key, version] of now) {
    if (untouched.includes(key)) expect(version, key).toBe(versions.get(key));
    // Written before the death: the apply after it changed nothing.
    else if (atDeath.get(key) !== undefined && atDeath.get(key) !== versions.get(key))
      expect(version, key).toBe(atDeath.get(key));
  }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

function objects(namespace: string, count: number, level: string): KubeObject[] {
  const own: KubeObject = { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } };
  return [own, ...Array.from({ length: count }, (_, n) => settings(namespace, `c-${n}`, level))];
}

const settings = (namespace: string, name: string, level: string): KubeObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace },
  data: { level },
});

async function versionsOf(cluster: Cluster, namespace: string): Promise<Map<string, string>> {
  const kind = (await cluster.kindOf("v1", "ConfigMap"))!;
  const { items } = await cluster.list(kind, { namespace, labelSelector: "plumbline.dev/agent" });
  return new Map(items.map((object) => [refKey(refOf(object)), object.metadata.resourceVersion ?? ""]));
}

const counting = (cluster: Cluster, applied: string[]): Cluster => ({
  ...cluster,
  apply(object, options) {
    applied.push(refKey(refOf(object)));
    return cluster.apply(object, options);
  },
  [Symbol.asyncDispose]: async () => undefined,
});
