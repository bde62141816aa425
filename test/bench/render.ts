import { execFile } from "node:child_process";
import { cp, mkdtempDisposable, readdir, readFile, writeFile } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { atMost } from "#lib/at-most.ts";
import { figure, type BenchResult } from "#test/bench/figures.ts";
import { openKitchen, type Kitchen } from "#test/harness/kitchen.ts";
import { cluster, environment, yaml } from "#test/harness/manifests.ts";
import { serverPath } from "#test/harness/servers.ts";

const run = promisify(execFile);
const corpus = fileURLToPath(new URL("../corpus/kube-prometheus-stack", import.meta.url));
const clusters = 100;

/**
 * kube-prometheus-stack (93 objects, 4.7 MB) for 100 clusters, from a pushed commit that changed the chart to sealed bundles,
 * beside what plain `helm template` takes on the same machine at the same time. The first rendering of a hub that never
 * read the chart is shown apart: it parses four megabytes of CRDs that a later one finds parsed.
 */
export async function render(quick: boolean): Promise<Pick<BenchResult, "runs" | "figures">> {
  await using kitchen = await openKitchen();
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-plain-helm-"));
  await cp(corpus, join(folder.path, "chart"), { recursive: true });
  await kitchen.commit({ ...(await chartFiles()), ...fleet({}) });
  const first = await timed(() => renderAll(kitchen, 1));
  const [toOne, toParallel]: [number[], number[]] = [[], []];
  const runs = quick ? 3 : 7;
  for (let n = 0; n < runs; n += 1) {
    await changeChart(kitchen, `same ${n}`, {});
    const before = await plainOnce(folder.path);
    const ours = await timed(() => renderAll(kitchen, 1));
    const after = await plainOnce(folder.path);
    toOne.push(ours / ((before + after) / 2));
  }
  for (let n = 0; n < (quick ? 1 : 3); n += 1) {
    await changeChart(kitchen, `different ${n}`, { commonLabels: { cluster: "${cluster.name}" } });
    const ours = await timed(() => renderAll(kitchen, clusters));
    toParallel.push(ours / (await timed(() => plainForAll(folder.path))));
  }
  return {
    runs,
    figures: {
      ratioToOneHelm: figure(toOne, "x", 1.5),
      ratioToParallelHelm: figure(toParallel, "x", 1.15),
      firstEverMs: figure([first], "ms", 3_000),
    },
  };
}

async function chartFiles(): Promise<Record<string, string>> {
  const found = await readdir(corpus, { recursive: true, withFileTypes: true });
  const paths = found.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const texts = await Promise.all(
    paths.map(async (path) => [`chart/${relative(corpus, path)}`, await readFile(path, "utf8")] as const),
  );
  return Object.fromEntries(texts);
}

const fleet = (values: object): Record<string, string> => ({
  "fleet/e.yaml": environment("prod", { follow: "main" }),
  "fleet/a.yaml": yaml({
    apiVersion: "plumbline.dev/v1",
    kind: "Application",
    metadata: { name: "monitoring" },
    spec: {
      source: { path: "chart", helm: { values: { grafana: { enabled: false }, ...values } } },
      namespace: "monitoring",
      environments: ["prod"],
    },
  }),
  ...Object.fromEntries(
    Array.from({ length: clusters }, (_, n) => [`fleet/c/${n}.yaml`, cluster(`c-${n}`, { env: "prod" })]),
  ),
});

/** Another tree, so that nothing of it was rendered, and its determinism has to be shown again. */
async function changeChart(kitchen: Kitchen, what: string, values: object): Promise<void> {
  await kitchen.commit({ "chart/files/run.txt": what, ...fleet(values) });
  kitchen.clear();
}

/** Fails unless every cluster has a bundle, and as many were made as there are different ones. */
async function renderAll(kitchen: Kitchen, different: number): Promise<void> {
  const targets = kitchen.targets();
  await kitchen.renders().render(targets);
  const outcomes = targets.map((target) => kitchen.renders().outcome(target));
  const digests = new Set(outcomes.map((outcome) => (outcome?.ok ? outcome.digest : outcome?.because)));
  if (!outcomes.every((outcome) => outcome?.ok === true) || digests.size !== different)
    throw new Error(`${digests.size} outcomes instead of ${different}: ${[...digests].slice(0, 2).join("; ")}`);
}

const template = async (folder: string, more: readonly string[] = []): Promise<void> => {
  const arguments_ = ["template", "monitoring", "chart", "-n=monitoring", "--include-crds", "--skip-tests"];
  const all = [...arguments_, "--kube-version=1.36", "--set=grafana.enabled=false", ...more];
  await run(serverPath("helm"), all, { cwd: folder, env: { HOME: folder }, maxBuffer: 2 ** 25 });
};

const plainOnce = (folder: string): Promise<number> => timed(() => template(folder));

/** As many at once as there are cores. */
async function plainForAll(folder: string): Promise<void> {
  const limited = atMost(availableParallelism());
  const one = async (n: number): Promise<void> => {
    const values = `values-${n}.json`;
    await writeFile(join(folder, values), JSON.stringify({ commonLabels: { cluster: `c-${n}` } }));
    await limited(() => template(folder, [`--values=${values}`]));
  };
  await Promise.all(Array.from({ length: clusters }, (_, n) => one(n)));
}

async function timed(work: () => Promise<void>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}
