import { execFile } from "node:child_process";
import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { ClusterAnswer } from "#proto/api.ts";
import { subjects } from "#proto/subjects.ts";
import { clusterId } from "#proto/ids.ts";
import { b1000 } from "#test/bench/b1000.ts";
import { figure, type BenchResult } from "#test/bench/figures.ts";
import { filesOf } from "#test/bench/files.ts";
import { buildRelease } from "#test/harness/release.ts";
import { startAgentPod } from "#test/harness/agent-pod.ts";
import { startControlPlane } from "#test/harness/control-plane.ts";
import { application, environment } from "#test/harness/manifests.ts";
import { serverPath } from "#test/harness/servers.ts";
import { startWorld } from "#test/harness/world.ts";

const run = promisify(execFile);

const rawLoop = fileURLToPath(new URL("./raw-loop.ts", import.meta.url));
/** Rarely: what looks takes part of the machine that is measured. */
const lookMs = 250;
const cluster = clusterId("dev-1");

/**
 * B1000 on a fresh API server: the released agent from the moment that its document is at the broker, beside a bare loop of
 * the same requests and `kubectl apply --server-side`, in turn, as ratios of one round.
 */
export async function apply(quick: boolean): Promise<Pick<BenchResult, "runs" | "figures">> {
  await using release = await buildRelease();
  const runs = quick ? 3 : 7;
  const ratios: number[] = [];
  const toKubectl: number[] = [];
  const requests: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const raw = await rawApply();
    const own = await agentApply(release.path);

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
  const kubeconfig = await plane.kubeconfig("raw", ["system:masters"]);
  return Number((await run(process.execPath, [rawLoop, kubeconfig])).stdout);
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

/** From the document at the broker to the answer of the agent's last write, as the broker and the API server saw them. */
async function agentApply(release: string): Promise<{ ms: number; requestsPerObject: number }> {
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-agent-"));
  await using plane = await startControlPlane();
  await using world = await startWorld();
  await world.startHub();
  await world.git.commit("fleet", "main", { "fleet/dev.yaml": environment("dev", { follow: "main" }) }, "one stage");
  const { paste } = await world.register(cluster, { env: "dev" });
  await using _agent = await startAgentPod(plane, paste, join(release, "agent.js"), folder.path);
  // Asked of the hub itself: a command started at each look would take the CPU that is being measured.
  const shown = async () => (await (await world.request(`/api/v1/clusters/${cluster}`)).json()) as ClusterAnswer;
  await world.until("the agent to join", async () => (await shown()).state === "Connected");
  const isAgents = ({ userAgent }: { userAgent: string }): boolean => userAgent === "plumbline-agent";
  const asked = async () => (await plane.requests()).filter(isAgents);
  const before = (await asked()).length;
  let publishedAtMs = 0;
  await using _tap = await world.tap((subject) => {
    if (subject === subjects.desired(cluster)) publishedAtMs = performance.timeOrigin + performance.now();
  });
  const objects = b1000();
  const spec = { path: "apps/b1000", namespace: "default", environments: ["dev"] };
  const files = Object.entries(filesOf(objects)).map(([file, text]) => [`apps/b1000/${file}`, text] as const);
  const changes = { "fleet/b1000.yaml": application("b1000", spec), ...Object.fromEntries(files) };
  await world.git.commit("fleet", "main", changes, "b1000 is wanted");
  await world.until("B1000 to be applied", async () => {
    await new Promise((resolve) => setTimeout(resolve, lookMs));
    return (await shown()).running.some(({ phase, objects }) => phase === "Applied" && objects > 0);
  });
  const requests = (await asked()).slice(before);
  const writes = requests.filter(({ verb }) => !["get", "list", "watch"].includes(verb));
  const endedAtMs = Math.max(...writes.map(({ answeredAtMs }) => answeredAtMs));
  return { ms: endedAtMs - publishedAtMs, requestsPerObject: requests.length / objects.length };
}
