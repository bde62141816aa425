import { join } from "node:path";
import type { ClusterAnswer } from "#proto/api.ts";
import { b1000 } from "#test/bench/b1000.ts";
import { figure, type BenchResult } from "#test/bench/figures.ts";
import { filesOf } from "#test/bench/files.ts";
import { buildRelease } from "#test/harness/release.ts";
import { startAgentPod } from "#test/harness/agent-pod.ts";
import { startControlPlane } from "#test/harness/control-plane.ts";
import { application, environment } from "#test/harness/manifests.ts";
import { rssKbOf } from "#test/harness/process-usage.ts";
import { startWorld, type World } from "#test/harness/world.ts";

/** What an apply needed has been given back by then, and a quiet agent's memory is told. */
const restMs = 20_000;
const samples = 10;

/** Resident memory of the released agent, started as its printed manifests start it: with B1000, and with ten of them. */
export async function memory(quick: boolean): Promise<Pick<BenchResult, "runs" | "figures">> {
  await using stack = new AsyncDisposableStack();
  const { path: folder } = stack.use(await buildRelease());
  const plane = stack.use(await startControlPlane());
  const world = stack.use(await startWorld());
  await world.startHub();
  await world.git.commit("fleet", "main", { "fleet/dev.yaml": environment("dev", { follow: "main" }) }, "one stage");
  const { paste } = await world.register("dev-1", { env: "dev" });
  const agent = stack.use(await startAgentPod(plane, paste, join(folder, "agent.js"), folder));
  const objects = b1000().length;
  const measure = async (applications: number): Promise<number[]> => {
    for (let n = 0; n < applications; n += 1) await declare(world, `b1000-${n}`);
    await world.until(`${applications * objects} objects to be applied`, () => areApplied(world, applications));
    await new Promise((resolve) => setTimeout(resolve, restMs));
    return sampled(agent.pid);
  };
  const one = await measure(1);
  const many = quick ? 4 : 10;
  const all = await measure(many);
  const slope = ((median(all) - median(one)) * 1024) / ((many - 1) * objects);
  return {
    runs: samples,
    figures: {
      rssMb: figure(
        one.map((kb) => kb / 1024),
        "MB",
        90,
      ),
      bytesPerObject: figure([slope], "bytes", 1_024),
    },
  };
}

const declare = (world: World, name: string): Promise<string> =>
  world.git.commit(
    "fleet",
    "main",
    {
      [`fleet/${name}.yaml`]: application(name, { path: `apps/${name}`, namespace: "default", environments: ["dev"] }),
      ...Object.fromEntries(
        Object.entries(filesOf(b1000(name))).map(([file, text]) => [`apps/${name}/${file}`, text] as const),
      ),
    },
    `${name} is wanted`,
  );

async function areApplied(world: World, applications: number): Promise<boolean> {
  const { running } = await world.ask<ClusterAnswer>("cluster", "show", "dev-1");
  return running.filter(({ phase, objects }) => phase === "Applied" && objects > 0).length === applications;
}

async function sampled(pid: number): Promise<number[]> {
  const values: number[] = [];
  for (let n = 0; n < samples; n += 1) {
    values.push(await rssKbOf(pid));
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
  return values;
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
