import { setTimeout } from "node:timers/promises";
import { exactly, figure, type BenchResult } from "#test/bench/figures.ts";
import { application, configMap } from "#test/harness/manifests.ts";
import { startReleased } from "#test/bench/release.ts";
import { clusterOf, type Trio } from "#test/harness/trio.ts";

const applications = 500;
/** Five minutes. */
const settleLooks = 600;
const settleLookMs = 500;

/**
 * 500 Applications in one repository, and commits that change one file of one of them: how many the hub renders, as its log
 * says, and how long it takes from the push to the cluster's document on the broker.
 */
export async function monorepo(quick: boolean): Promise<Pick<BenchResult, "runs" | "figures">> {
  await using trio = await startReleased();
  const { world } = trio;
  const heard: (() => void)[] = [];
  await using _tap = await world.tap((subject) => {
    if (subject === `plb.desired.${clusterOf("dev")}`) for (const resolve of heard.splice(0)) resolve();
  });
  const published = (): Promise<void> => new Promise((resolve) => heard.push(resolve));
  // What the log keeps is cut: it is counted as it comes.
  let counted = 0;
  world.hub().child.stderr?.on("data", (chunk: Buffer) => (counted += renderings(chunk.toString("utf8"))));
  const names = Array.from({ length: applications }, (_, n) => `app-${n}`);
  const all = names.flatMap((name) => [
    [
      `fleet/applications/${name}.yaml`,
      application(name, { path: `apps/${name}`, namespace: "default", environments: ["dev"] }),
    ],
    [`apps/${name}/settings.yaml`, configMap(name, { version: "0" })],
  ]);
  await world.git.commit("fleet", "main", Object.fromEntries(all) as Record<string, string>, "500 applications");
  await allSettled(trio);
  const times: number[] = [];
  const rendered: number[] = [];
  const runs = quick ? 10 : 50;
  for (let n = 0; n < runs; n += 1) {
    const name = names[(n * 37) % applications]!;
    const before = counted;
    const next = published();
    let pushed = 0;
    const { onPush } = world.git;
    world.git.onPush = (repository) => {
      pushed = performance.now();
      return onPush(repository);
    };
    await world.git.commit(
      "fleet",
      "main",
      { [`apps/${name}/settings.yaml`]: configMap(name, { version: `${n + 1}` }) },
      name,
    );
    world.git.onPush = onPush;
    await next;
    times.push(performance.now() - pushed);
    rendered.push(counted - before);
  }
  return {
    runs,
    figures: { rendered: exactly(Math.max(...rendered), "applications", 1), p50Ms: figure(times, "ms", 500) },
  };
}

/** All of them run, healthy: what is measured then is one commit, and no longer the beginning. */
async function allSettled({ world }: Trio): Promise<void> {
  for (let looks = 0; looks < settleLooks; looks += 1) {
    const { rows } = await world.status();
    const settled = rows.filter((row) => row.environment === "dev" && row.clusters > 0 && row.settled === row.clusters);
    if (settled.length === applications) return;
    await setTimeout(settleLookMs);
  }
  throw new Error(`${applications} Applications did not settle\n${world.logs()}`);
}

const renderings = (log: string): number => log.split('"rendered a folder"').length - 1;
