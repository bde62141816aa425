import { generateKeyPairSync } from "node:crypto";
import { mkdtempDisposable, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCharts, type Charts } from "#hub/charts/charts.ts";
import { createDownload } from "#hub/charts/download.ts";
import type { Target } from "#hub/decide/inputs.ts";
import { fleetReader } from "#hub/fleet/read.ts";
import { createBlobCache } from "#hub/git/blob-cache.ts";
import { createGitSigner } from "#hub/git/sign.ts";
import { chartRepository } from "#hub/loop/chart-repository.ts";
import { keepRenderings } from "#hub/loop/kept-renderings.ts";
import { createRenders, type Renders } from "#hub/loop/renders.ts";
import { openRecords, type Records, type RecordStore } from "#hub/loop/records.ts";
import { openSource, type Source } from "#hub/loop/sources.ts";
import { openFence, type Fence, type FenceLimits, type FenceTools } from "#hub/render/fence.ts";
import { createRenderer } from "#hub/render/renderer.ts";
import { openSealedStore } from "#hub/render/sealed-store.ts";
import type { Rendered } from "#hub/render/target.ts";
import { openTools, type ToolName } from "#hub/render/tools.ts";
import { systemClock } from "#lib/clock.ts";
import { silentLog } from "#lib/log.ts";
import { openTelemetry } from "#lib/telemetry.ts";
import { applicationName, clusterId, environmentName, revision, type Revision } from "#proto/ids.ts";
import { startGitServer, type GitServer } from "#test/harness/git-server.ts";
import { serverPath } from "#test/harness/servers.ts";
import { sourceOptions } from "#test/harness/source-options.ts";

/** The hub's way from a fleet repository to sealed bundles, without broker and agents: real Git, real tools, real threads. */
export type Kitchen = AsyncDisposable & {
  readonly git: GitServer;
  /** Changes files of the fleet repository, and looks. */
  commit(files: Readonly<Record<string, string | null>>): Promise<Revision>;
  renders(): Renders;
  charts(): Charts;
  target(application: string, environment: string, cluster: string): Target;
  /** Every declared Application on every Cluster of its environments. */
  targets(): Target[];
  /** Bundles that were made, tools that were run, bundles that were given to the broker, since `clear`. */
  readonly made: { bundles: string[]; tools: string[]; put: Rendered[] };
  clear(): void;
  /** A hub that starts anew, with its folder as it was left. */
  restart(): Promise<void>;
  /** A hub of another machine: nothing but Git and its keys. */
  rebuild(): Promise<void>;
  records(): Records;
  readonly keptFolder: string;
  /** Goes on only when a test says so. */
  readonly clock: { nowMs: number };
};

export type KitchenOptions = {
  /** Other programs that put up the fence. */
  readonly fence?: Partial<FenceTools>;
  /** Other limits of what a tool may use. */
  readonly limits?: Partial<FenceLimits>;
};

export async function openKitchen(options: KitchenOptions = {}): Promise<Kitchen> {
  await using started = new AsyncDisposableStack();
  const folder = started.use(await mkdtempDisposable(join(tmpdir(), "plumbline-kitchen-")));
  const git = started.use(await startGitServer());
  const telemetry = started.use(await openTelemetry("test", undefined));
  const over = new AbortController();
  const url = await git.createRepository("fleet");
  await git.commit("fleet", "main", { "README.md": "fleet" }, "begin");
  const source: Source = await openSource(
    { name: "fleet", url, remote: {}, follows: () => ["main"] },
    sourceOptions(folder.path, over.signal, { blobs: createBlobCache(16 * 1024 * 1024) }),
  );
  started.defer(() => source.stop());
  const fence = await openFence({ prlimit: "/usr/bin/prlimit", unshare: "/usr/bin/unshare", ...options.fence });
  const fenced: Fence = {
    ...fence,
    run: (command) => fence.run({ ...command, limits: { ...command.limits, ...options.limits } }),
  };
  const clock = { nowMs: 0 };
  const paths: Record<ToolName, string> = { helm: serverPath("helm"), kustomize: serverPath("kustomize") };
  const tools = openTools(fenced, paths);
  const secret = Buffer.alloc(32, 7);
  const renderer = started.use(createRenderer(secret));
  const signer = createGitSigner(generateKeyPairSync("ed25519").privateKey);
  const download = started.use(createDownload(new Set(["127.0.0.1"]), over.signal));
  const openRecord = (): RecordStore =>
    openRecords({ mirror: source.mirror, fetch: () => source.following.look() }, signer, systemClock, silentLog);
  let records = openRecord();
  const made: Kitchen["made"] = { bundles: [], tools: [], put: [] };
  const keptFolder = join(folder.path, "renderings");
  const chartFolder = join(folder.path, "charts");
  const limits = { bytes: 64 * 1024 * 1024, files: 10_000 };
  let head = revision("0".repeat(40));
  let { fleet } = fleetReader()([]);
  let charts: Charts;
  const open = async (): Promise<Renders> => {
    charts = createCharts({
      repository: (name) => chartRepository(fleet.repositories.get(name)),
      recorded: (key) => records.now().charts.get(key),
      record: (chart) => records.lockChart(chart),
      store: await openSealedStore(chartFolder, secret, "test/v1", limits),
      download,
      find: (query) => renderer.find(query),
    });
    return createRenders({
      fleet: () => fleet,
      source: () => source,
      renderer: {
        ...renderer,
        render: (target) => {
          made.bundles.push(target.application);
          return renderer.render(target);
        },
      },
      tools: {
        run: (tool, ...rest) => {
          made.tools.push(tool);
          return tools.run(tool, ...rest);
        },
      },
      kept: keepRenderings(await openSealedStore(keptFolder, secret, "test/v1", limits)),
      repository: (name) => (name === "again" ? source : undefined),
      charts,
      put: (rendered) => Promise.resolve(void made.put.push(rendered)),
      telemetry,
      traceOf: () => "",
      log: silentLog,
      signal: over.signal,
      nowMs: () => clock.nowMs,
    });
  };
  let renders = await open();
  const target: Kitchen["target"] = (application, environment, cluster) => ({
    application: applicationName(application),
    environment: environmentName(environment),
    cluster: clusterId(cluster),
    revision: head,
  });
  const owned = started.move();
  return {
    git,
    made,
    clock,
    keptFolder,
    target,
    renders: () => renders,
    charts: () => charts,
    async commit(files) {
      head = revision(await git.commit("fleet", "main", files, "change"));
      await source.following.look();
      const read = fleetReader()(await source.mirror.contents(head, "fleet"));
      if (read.problems.length > 0) throw new Error(JSON.stringify(read.problems));
      ({ fleet } = read);
      return head;
    },
    targets: () =>
      [...fleet.applications.values()].flatMap(({ name, environments }) =>
        environments.flatMap((environment) =>
          [...fleet.clusters.values()]
            .filter(({ labels }) => labels["env"] === environment)
            .map((cluster) => target(name, environment, cluster.name)),
        ),
      ),
    clear: () => void Object.assign(made, { bundles: [], tools: [], put: [] }),
    async restart() {
      renders = await open();
    },
    async rebuild() {
      await rm(keptFolder, { recursive: true });
      await rm(chartFolder, { recursive: true });
      records = openRecord();
      await records.load();
      renders = await open();
    },
    records: () => records.now(),
    async [Symbol.asyncDispose]() {
      over.abort();
      await owned[Symbol.asyncDispose]();
    },
  };
}
