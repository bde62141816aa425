import { expect, test } from "vitest";
import { kubeconfigAccess } from "#agent/cluster/access.ts";
import { openKubernetes } from "#agent/cluster/kubernetes.ts";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { fileURLToPath } from "node:url";
import { startControlPlane } from "#test/harness/control-plane.ts";
import { startProcess, untilReady } from "#test/harness/process.ts";
import { serverPath } from "#test/harness/servers.ts";

const cli = fileURLToPath(new URL("../cli/main.ts", import.meta.url));
const env = { PATH: process.env["PATH"], HOME: process.env["HOME"], PLUMBLINE_NATS_SERVER: serverPath("nats-server") };
/** A whole fleet starts: on a machine that does much else, minutes. */
const slowMs = 300_000;

test("the demo plays its whole story on simulated clusters, a line a step, and exits 0", async () => {
  await using demo = startProcess(process.execPath, [cli, "demo", "--check"], { env });
  await demo.ended;
  const lines = demo.log().trim().split("\n");
  expect(demo.child.exitCode, demo.log()).toBe(0);
  expect(lines).toHaveLength(8);
  for (const line of lines) expect(line).toMatch(/^✔ .+ {2}\d+\.\d s$/);
});

test(
  "on real API servers it goes on with kube-prometheus-stack, and agents that start again write nothing",
  { timeout: slowMs },
  async () => {
    const more = { PLUMBLINE_HELM: serverPath("helm") };
    await using demo = startProcess(process.execPath, [cli, "demo", "--kubernetes", "--check"], {
      env: { ...env, ...more },
    });
    await demo.ended;
    expect(demo.child.exitCode, demo.log()).toBe(0);
    const lines = demo.log().trim().split("\n");
    expect(lines).toHaveLength(11);
    expect(lines[8]).toMatch(/^✔ kube-prometheus-stack, .*: \d{2} objects, CRDs first, healthy in dev {2}/);
    expect(lines[10]).toMatch(/writes nothing {2}\d+\.\d s$/);
  },
);

test(
  "the demo stays up to be looked at and broken, and Ctrl-C leaves nothing running",
  { timeout: slowMs },
  async () => {
    await using demo = startProcess(process.execPath, [cli, "demo"], { env });
    await untilReady(demo, "the demo", () => Promise.resolve(demo.log().includes("git clone")), slowMs);
    const settings = Object.fromEntries(
      [...demo.log().matchAll(/(PLUMBLINE_\w+)=(\S+)/g)].map(([, name, value]) => [name, value]),
    );
    const plumb = async (...arguments_: string[]): Promise<string> => {
      await using ran = startProcess(process.execPath, [cli, ...arguments_], { env: { ...env, ...settings } });
      await ran.ended;
      return ran.log();
    };
    expect(await plumb("status")).toMatch(/prod +shop .* 3\/3/);
    expect(await plumb("demo", "break", "prod-ap")).toContain("scaled Deployment shop/web on prod-ap");
    let drift = "";
    while (!/kubectl-scale +healed.*\n.*kubectl-scale +healed/.test(drift)) drift = await plumb("drift");
    expect(drift).toContain("spec.replicas  3 → 9");
    const broker = /nats-server/.exec(await processes(demo.pid));
    expect(broker).not.toBeNull();
    await demo.kill("SIGINT");
    expect(demo.child.exitCode, demo.log()).toBe(130);
    expect(await processes(demo.pid)).toBe("");
  },
);

test("on a cluster of yours the demo asks first, stays in its two namespaces, and takes them away", async () => {
  await using plane = await startControlPlane({ nodes: true });
  const kubeconfig = await plane.kubeconfig("you", ["system:masters"]);
  await using cluster = openKubernetes(await kubeconfigAccess(kubeconfig));
  const demo = async (...arguments_: string[]): Promise<{ code: number | null; said: string }> => {
    await using ran = startProcess(process.execPath, [cli, "demo", `--kubeconfig=${kubeconfig}`, ...arguments_], {
      env,
    });
    await ran.ended;
    return { code: ran.child.exitCode, said: ran.log() };
  };
  const before = await namespaces(cluster);
  const unasked = await demo("--check");
  expect(unasked).toMatchObject({
    code: 2,
    said: expect.stringContaining("nobody is there to ask: add --yes") as string,
  });
  expect(await namespaces(cluster)).toEqual(before);

  const played = await demo("--check", "--yes");
  expect(played.code, played.said).toBe(0);
  expect(played.said).toContain("your cluster and 4 simulated ones join");
  expect(await namespaces(cluster)).toEqual(before);

  await cluster.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: "plumbline-demo" } });
  const refused = await demo("--check", "--yes");
  expect(refused).toMatchObject({
    code: 1,
    said: expect.stringContaining("the namespace plumbline-demo exists already") as string,
  });
  expect(await namespaces(cluster)).toEqual([...before, "plumbline-demo"].sort());
});

async function namespaces(cluster: Cluster): Promise<string[]> {
  const kind = (await cluster.kindOf("v1", "Namespace"))!;
  return (await cluster.list(kind)).items.map(({ metadata }) => metadata.name).sort();
}

/** Command lines of a process's children. */
async function processes(parent: number): Promise<string> {
  await using ps = startProcess("ps", ["-o", "args=", "--ppid", String(parent)]);
  await ps.ended;
  return ps.log();
}
