import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ask } from "#cli/client.ts";
import type { CliConfig } from "#cli/config.ts";
import { createAgents } from "#cli/demo/agents.ts";
import { demoClusters, fleetFiles, inventedShop, shopFiles, type Shop } from "#cli/demo/fleet.ts";
import { simulatedMember, type Member } from "#cli/demo/members.ts";
import { ownMember, ownNamespaces } from "#cli/demo/own-cluster.ts";
import { openDemoRepository } from "#cli/demo/repository.ts";
import { CliError, exitCode } from "#cli/errors.ts";
import type { RealMember } from "#cli/demo/real-members.ts";
import {
  createTelling,
  promote,
  runningRevision,
  settled,
  status,
  until,
  type Stage,
  type Telling,
} from "#cli/demo/stage.ts";
import { createAdminToken } from "#cli/init.ts";
import { readConfig as readHubConfig } from "#hub/config.ts";
import { createIdentity, saveIdentity } from "#hub/identity/identity.ts";
import { hubProcess } from "#hub/main.ts";
import type { DriftRow } from "#proto/api.ts";

export type DemoOptions = {
  check?: boolean;
  kubernetes?: boolean;
  kubeconfig?: string;
  context?: string;
  yes?: boolean;
};

/** A shop that any cluster can truly run: Kubernetes' own smallest image, in two versions. */
const ownShop: Shop = {
  namespace: ownNamespaces.shop,
  image: (version) => `registry.k8s.io/pause:${version === "1.0" ? "3.9" : "3.10"}`,
};

/** `plumb demo`: a whole fleet on this machine, its story told as it happens. */
export async function demo(options: DemoOptions, signal: AbortSignal): Promise<void> {
  await using scope = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "plumbline-demo-"));
  scope.defer(() => rm(folder, { recursive: true, force: true }));
  const stop = new AbortController();
  const life = AbortSignal.any([signal, stop.signal]);
  const telling = createTelling();

  const shop = options.kubeconfig === undefined ? inventedShop : ownShop;
  const members = await openMembers(options, life);
  for (const member of members) scope.use(member);
  const repository = scope.use(await openDemoRepository(folder));
  const { token, access } = createAdminToken("you");
  const identity = join(folder, "identity.json");
  await saveIdentity(identity, await createIdentity(Date.now()));
  await writeFile(join(folder, "token"), token, { mode: 0o600 });
  await repository.commit({ ...fleetFiles(access, shop), ...shopFiles("1.0", shop) }, "a shop, in three environments");

  const hub = await startHub(folder, identity, repository.url, life);
  // What runs is ended before anything that it stands on is closed.
  const failures = Promise.withResolvers<never>();
  failures.promise.catch(() => undefined);
  hub.ended.catch((error: unknown) => failures.reject(error));
  const agents = createAgents(life, failures.reject);
  scope.defer(async () => {
    stop.abort(new Error("the demo ends"));
    await Promise.allSettled([hub.ended, agents.ended()]);
  });
  const config: CliConfig = {
    hub: `http://127.0.0.1:${hub.http}`,
    token,
    colour: false,
    unicode: true,
    width: undefined,
  };
  repository.onChange = () => hub.poke();
  await telling.step(`hub with its own nats-server, and a fleet repository at ${repository.url}`, () =>
    Promise.resolve(),
  );

  const stage = { config, repository, members, agents, shop, failed: failures.promise };
  await telling.step(`${describeMembers(options, members)} join`, async () => {
    for (const member of members) await agents.join(config, member);
    await until(stage, "every cluster to be heard", async () => (await status(config)).heard === members.length);
  });
  await tellStory(stage, telling);
  if (options.kubernetes === true) {
    const { tellMonitoring } = await import("#cli/demo/monitoring.ts");
    await tellMonitoring(stage, members as RealMember[], telling);
  }
  if (options.check === true) return;
  await stayUp(stage, folder, signal, scope);
}

async function tellStory(stage: Stage, telling: Telling): Promise<void> {
  const { config, repository, shop } = stage;
  const web = webOf(shop);
  await telling.step("commit: the shop runs in dev, with nobody typing kubectl", () => settled(stage, "dev"));
  await telling.step("promote to staging: a commit on main, gated by dev's receipts", async () => {
    const revision = await runningRevision(stage, "dev");
    await promote(stage, "staging", revision, "fine in dev");
    await settled(stage, "staging", { revision });
  });
  await telling.step("promote to prod: every prod cluster follows", async () => {
    const revision = await runningRevision(stage, "staging");
    await promote(stage, "prod", revision, "fine in staging");
    await settled(stage, "prod", { revision });
  });
  const first = await runningRevision(stage, "prod");
  await telling.step("drift: somebody scales prod by hand; seen, named and healed", async () => {
    const member = stage.members.at(-1)!;
    await breakMember(member, shop);
    await until(stage, "the drift to be told", async () => {
      const rows = await ask<DriftRow[]>(config, "GET", "/api/v1/drift");
      return rows.some(
        ({ cluster, state, tool }) => cluster === member.name && state === "healed" && tool === "kubectl-scale",
      );
    });
    await until(stage, "three replicas", async () => (await replicas(member, web)) === 3);
  });
  await telling.step("a new version goes the same way: dev, staging, prod", async () => {
    const revision = await repository.commit(shopFiles("1.1", shop), "shop 1.1");
    await until(stage, "dev to take it", async () => (await image(stage, "dev")) === shop.image("1.1"));
    await settled(stage, "dev", { revision });
    for (const environment of ["staging", "prod"]) {
      await promote(stage, environment, revision, "1.1");
      await until(
        stage,
        `${environment} to take it`,
        async () => (await image(stage, environment)) === shop.image("1.1"),
      );
      await settled(stage, environment, { revision });
    }
  });
  await telling.step("revert: the promotion to prod is taken back in Git, and prod goes back to 1.0", async () => {
    const path = "fleet/promotions/prod/shop.yaml";
    const now = await repository.read(path);
    await repository.commit(
      { [path]: now.replace(/revision: \w+/, `revision: ${first}`) },
      `Revert "promote shop to prod"`,
    );
    await until(stage, "prod to go back", async () => (await image(stage, "prod")) === shop.image("1.0"));
    await settled(stage, "prod", { revision: first });
  });
}

/** Everything stays as it is, for looking and breaking, until Ctrl-C. */
async function stayUp(stage: Stage, folder: string, signal: AbortSignal, scope: AsyncDisposableStack): Promise<void> {
  const control = scope.use(await serveControl(stage));
  const environment = `export PLUMBLINE_HUB=${stage.config.hub} PLUMBLINE_TOKEN_FILE=${join(folder, "token")} PLUMBLINE_DEMO=${control.url}`;
  process.stdout.write(`
The fleet stays up until Ctrl-C. In another terminal:

  ${environment}
  npx plumb status
  npx plumb drift --watch
  npx plumb demo break ${stage.members.at(-1)!.name}        # scales it by hand; watch it heal
  git clone ${stage.repository.url}      # edit shop/, push, and dev follows
`);
  await Promise.race([once(signal, "abort"), stage.failed]);
}

/** `plumb demo break`: asks the running demo to change a cluster behind Git's back. */
export async function breakCluster(name: string, env: NodeJS.ProcessEnv): Promise<void> {
  const control = env["PLUMBLINE_DEMO"];
  if (control === undefined)
    throw new CliError(exitCode.usage, "no demo is named", "run the export line that the demo printed");
  const response = await fetch(`${control}/break/${encodeURIComponent(name)}`, { method: "POST" }).catch(
    () => undefined,
  );
  if (response === undefined)
    throw new CliError(exitCode.unreachable, "the demo does not answer", "start one with npm run demo");
  const text = await response.text();
  if (!response.ok) throw new CliError(exitCode.failed, text);
  process.stdout.write(`${text}\n`);
}

async function serveControl({ members, shop }: Stage): Promise<AsyncDisposable & { url: string }> {
  const server = createServer((request, response) => {
    const name = /^\/break\/([\w-]+)$/.exec(request.url ?? "")?.[1];
    const member = members.find((member) => member.name === name);
    if (request.method !== "POST" || member === undefined)
      return void response
        .writeHead(404)
        .end(`there is no cluster ${name ?? ""}: ${members.map(({ name }) => name).join(", ")}`);
    void breakMember(member, shop).then(
      () => response.end(`scaled Deployment ${shop.namespace}/web on ${member.name} to 9 by hand: plumb drift`),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await once(server.close(), "close");
    },
  };
}

const webOf = ({ namespace }: Shop) =>
  ({ apiVersion: "apps/v1", group: "apps", kind: "Deployment", namespace, name: "web" }) as const;

const breakMember = (member: Member, shop: Shop): Promise<void> =>
  member.meddle(webOf(shop), "kubectl-scale", (object) => {
    object["spec"] = { ...(object["spec"] as object), replicas: 9 };
  });

const replicas = async (member: Member, web: ReturnType<typeof webOf>): Promise<number | undefined> =>
  ((await member.get(web))?.["spec"] as { replicas?: number } | undefined)?.replicas;

/** The image that every cluster of an environment runs; undefined while they differ. */
async function image({ members, shop }: Stage, environment: string): Promise<string | undefined> {
  const own = members.filter(({ labels }) => labels["env"] === environment);
  const images = await Promise.all(
    own.map(async (member) => {
      const spec = (await member.get(webOf(shop)))?.["spec"] as
        | { template: { spec: { containers: { image: string }[] } } }
        | undefined;
      return spec?.template.spec.containers[0]?.image;
    }),
  );
  return images.every((image) => image === images[0]) ? images[0] : undefined;
}

function describeMembers({ kubernetes, kubeconfig }: DemoOptions, { length }: readonly Member[]): string {
  if (kubeconfig !== undefined) return `your cluster and ${length - 1} simulated ones`;
  return `${length} ${kubernetes === true ? "real API servers" : "simulated clusters"}`;
}

async function openMembers(options: DemoOptions, signal: AbortSignal): Promise<Member[]> {
  const { kubeconfig } = options;
  if (kubeconfig !== undefined) {
    const own = await ownMember(demoClusters.at(-1)!, { ...options, kubeconfig }, signal);
    return [...demoClusters.slice(0, -1).map(({ name, labels }) => simulatedMember(name, labels)), own];
  }
  if (options.kubernetes !== true) return demoClusters.map(({ name, labels }) => simulatedMember(name, labels));
  // Real servers come from the tests' harness: this works from a clone alone.
  const { realMembers } = await import("#cli/demo/real-members.ts");
  return realMembers(demoClusters.slice(0, 3));
}

async function startHub(folder: string, identity: string, fleet: string, signal: AbortSignal) {
  const config = readHubConfig(process.env, {
    data: join(folder, "data"),
    identity,
    fleet,
    allowRepositoryHost: ["127.0.0.1"],
    pollMs: 500,
    listenHttp: "127.0.0.1:0",
    listenGrpc: "127.0.0.1:0",
    listenNats: "127.0.0.1:0",
    logLevel: process.env["PLUMBLINE_LOG_LEVEL"] ?? "error",
  });
  const ready = Promise.withResolvers<{ http: number }>();
  const ended = hubProcess(config, signal, ready.resolve);
  ended.catch(ready.reject);
  const { http } = await ready.promise;
  // The demo's repository sends no webhook: the hub looks twice a second.
  return { http, ended, poke: () => undefined };
}
