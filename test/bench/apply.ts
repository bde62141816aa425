import { execFile } from "node:child_process";
import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { kubeconfigAccess } from "#agent/cluster/access.ts";
import { openKubernetes } from "#agent/cluster/kubernetes.ts";
import { Journal } from "#agent/report/journal.ts";
import { clusterId } from "#proto/ids.ts";
import { b1000 } from "#test/bench/b1000.ts";
import { figure, type BenchResult } from "#test/bench/figures.ts";
import { startControlPlane } from "#test/harness/control-plane.ts";
import { Documents } from "#test/harness/documents.ts";
import { serverPath } from "#test/harness/servers.ts";
import { startEngineFor } from "#test/harness/engine.ts";

const run = promisify(execFile);

const inFlight = 8;
const agentNamespace = "plumbline-agent";

/**
 * B1000 on a fresh API server: our engine beside a bare loop of the same requests and `kubectl apply --server-side`, in
 * turn, as ratios of one round.
 */
export async function apply(quick: boolean): Promise<Pick<BenchResult, "runs" | "figures">> {
  const runs = quick ? 3 : 7;
  const ratios: number[] = [];
  const toKubectl: number[] = [];
  const requests: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const raw = await rawApply();
    const own = await engineApply();
    ratios.push(own.ms / raw);
    toKubectl.push(own.ms / (await kubectlApply()));
    requests.push(own.requestsPerObject);
  }
  return {
    runs,
    figures: {
      ratioToRaw: figure(ratios, "x", 1.15),
      ratioToKubectl: figure(toKubectl, "x", 0.6),
      requestsPerObject: figure(requests, "requests", 1.02),
    },
  };
}

async function rawApply(): Promise<number> {
  await using plane = await startControlPlane();
  await using cluster = openKubernetes(await kubeconfigAccess(await plane.kubeconfig("raw", ["system:masters"])));
  await cluster.version();
  const objects = b1000();
  const started = performance.now();
  const namespaces = objects.filter(({ kind }) => kind === "Namespace");
  for (const batch of [namespaces, objects.slice(namespaces.length)]) {
    const queue = batch.values();
    await Promise.all(
      Array.from({ length: inFlight }, async () => {
        for (const object of queue) await cluster.apply(object);
      }),
    );
  }
  return performance.now() - started;
}

async function kubectlApply(): Promise<number> {
  await using plane = await startControlPlane();
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-kubectl-"));
  const objects = b1000();
  // kubectl looks a Namespace up before what lies in it: those first, as everyone does by hand.
  const namespaces = objects.filter(({ kind }) => kind === "Namespace");
  const files = [namespaces, objects.slice(namespaces.length)].map((part, n) => [`${n}.json`, part] as const);
  for (const [name, items] of files)
    await writeFile(join(folder.path, name), JSON.stringify({ apiVersion: "v1", kind: "List", items }));
  const kubeconfig = await plane.kubeconfig("kubectl", ["system:masters"]);
  const started = performance.now();
  for (const [name] of files)
    await run(
      serverPath("kubectl"),
      [`--kubeconfig=${kubeconfig}`, "apply", "--server-side", "-f", join(folder.path, name)],
      { maxBuffer: 16 * 1024 * 1024, env: { HOME: folder.path } },
    );
  return performance.now() - started;
}

async function engineApply(): Promise<{ ms: number; requestsPerObject: number }> {
  await using plane = await startControlPlane();
  await using cluster = openKubernetes(await kubeconfigAccess(await plane.kubeconfig("agent", ["system:masters"])));
  await cluster.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: agentNamespace } });
  const documents = new Documents(clusterId("bench"));
  await using engine = await startEngineFor(documents, {
    cluster,
    namespace: agentNamespace,
    journal: new Journal(1_000, Date.now),
  });
  const objects = b1000();
  const document = documents.sign(documents.run("b1000", objects));
  const before = (await plane.requests()).filter(({ user }) => user === "agent").length;
  const started = performance.now();
  engine.take(document, "");
  await engine.settled();
  const ms = performance.now() - started;
  const after = (await plane.requests()).filter(({ user }) => user === "agent").length;
  return { ms, requestsPerObject: (after - before) / objects.length };
}
