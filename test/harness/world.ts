import { createHmac } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { connect, jwtAuthenticator } from "@nats-io/transport-node";
import { recordBranch } from "#hub/loop/records.ts";
import { loadIdentity } from "#hub/identity/identity.ts";
import type { ClusterAnswer, DriftRow, RegisterAnswer, StatusAnswer } from "#proto/api.ts";
import { freePorts } from "#test/harness/free-port.ts";
import { startGitServer, type GitServer } from "#test/harness/git-server.ts";
import type { ObjectFormat } from "#test/harness/repositories.ts";
import { printedSettings } from "#test/harness/printed-settings.ts";
import { startProcess, untilReady, type RunningProcess } from "#test/harness/process.ts";
import { serverPath } from "#test/harness/servers.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const webhookSecret = "hush";

export type Ran = { readonly code: number; readonly stdout: string; readonly stderr: string };

/** A hub, agents and a Git server as their users start them: real processes, real ports, real repositories. */
export type World = AsyncDisposable & {
  readonly git: GitServer;
  readonly folder: string;
  readonly fleetUrl: string;
  readonly hubUrl: string;
  hub(): RunningProcess;
  startHub(): Promise<void>;
  /** Ends the hub; its broker ends with it unless the signal is SIGKILL. */
  stopHub(signal?: NodeJS.Signals): Promise<void>;
  /** What must not matter: mirrors and the broker's store. */
  deleteData(): Promise<void>;
  plumb(...arguments_: string[]): Promise<Ran>;
  /** Runs plumb with `-o json`; throws when it does not exit with 0. */
  ask<Answer>(...arguments_: string[]): Promise<Answer>;
  /** Gets a path of the hub's API with the first admin's token. */
  request(path: string, signal?: AbortSignal): Promise<Response>;
  /** A file of the hub's record, as Git has it. */
  recorded(path: string): Promise<string>;
  status(): Promise<StatusAnswer>;
  drift(): Promise<DriftRow[]>;
  register(cluster: string, labels: Readonly<Record<string, string>>): Promise<RegisterAnswer>;
  /** Runs the printed join line, and goes on as that cluster's agent. */
  join(cluster: string, answer: RegisterAnswer, kubeconfig: string, ...more: string[]): Promise<void>;
  startAgent(cluster: string, kubeconfig: string, ...more: string[]): RunningProcess;
  agent(cluster: string): RunningProcess;
  /** Asks until it holds; fails with the logs of everything when it does not within a minute. */
  until(what: string, holds: () => Promise<boolean>): Promise<void>;
  /** Calls `seen` with the subject of everything that is written to the broker, until it is disposed. */
  tap(seen: (subject: string) => void): Promise<AsyncDisposable>;
  /** Every log so far, for a failure's reader. */
  logs(): string;
};

export type WorldOptions = {
  readonly otlpEndpoint?: string;
  readonly pollMs?: number;
  /** Lets the hub find the Helm and Kustomize that the set-up built. */
  readonly renderers?: boolean;
  /** Of the fleet repository. */
  readonly objectFormat?: ObjectFormat;
  /** Besides what every process of it gets. */
  readonly env?: Readonly<Record<string, string>>;
  /** Another build of the command line. */ readonly cli?: string;
  /** Agents run with the settings of the manifests that are printed for them. */
  readonly printedSettings?: boolean;
};

export async function startWorld(options: WorldOptions = {}): Promise<World> {
  await using started = new AsyncDisposableStack();
  const cli = options.cli ?? join(root, "cli", "main.ts");
  const folder = await mkdtemp(join(tmpdir(), "plumbline-world-"));
  started.defer(() => rm(folder, { recursive: true, force: true }));
  const git = started.use(await startGitServer());
  const fleetUrl = await git.createRepository("fleet", options.objectFormat);
  const [http, grpc, nats] = (await freePorts(3)) as [number, number, number];
  const secretFile = join(folder, "webhook-secret");
  await writeFile(secretFile, webhookSecret);
  const identity = join(folder, "identity", "identity.json");
  const data = join(folder, "data");
  const env = {
    PATH: process.env["PATH"],
    HOME: folder,
    LANG: "C.UTF-8",
    PLUMBLINE_NATS_SERVER: serverPath("nats-server"),
    ...(options.renderers === true && {
      PLUMBLINE_HELM: serverPath("helm"),
      PLUMBLINE_KUSTOMIZE: serverPath("kustomize"),
    }),
    PLUMBLINE_HUB: `http://127.0.0.1:${http}`,
    PLUMBLINE_TOKEN_FILE: join(folder, "identity", "plumbline-admin-token"),
    ...options.env,
    ...(options.otlpEndpoint === undefined ? {} : { OTEL_EXPORTER_OTLP_ENDPOINT: options.otlpEndpoint }),
  };
  const agents = new Map<string, RunningProcess>();
  const settings = new Map<string, Record<string, string>>();
  let hub: RunningProcess | undefined;
  started.defer(async () => {
    await Promise.all([...agents.values()].map((agent) => agent[Symbol.asyncDispose]()));
    await hub?.[Symbol.asyncDispose]();
  });

  git.onPush = async (name) => {
    const body = JSON.stringify({ repository: { clone_url: fleetUrl.replace("fleet.git", `${name}.git`) } });
    const signature = createHmac("sha256", webhookSecret).update(body).digest("hex");
    const headers = { "x-hub-signature-256": `sha256=${signature}`, "content-type": "application/json" };
    // A hub that is away hears of it by its own look later.
    await fetch(`${env.PLUMBLINE_HUB}/webhooks/${name}`, { method: "POST", body, headers }).catch(() => undefined);
  };

  const plumb = async (...arguments_: string[]): Promise<Ran> => {
    const child = startProcess(process.execPath, [cli, ...arguments_], { env, cwd: folder });
    let stdout = "";
    let stderr = "";
    child.child.stdout?.on("data", (chunk: Buffer) => (stdout += chunk.toString("utf8")));
    child.child.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString("utf8")));
    await child.ended;
    return { code: child.child.exitCode ?? -1, stdout, stderr };
  };
  const logs = (): string =>
    [["hub", hub] as const, ...agents].map(([name, running]) => `--- ${name}\n${running?.log() ?? ""}`).join("\n");

  const world: World = {
    git,
    folder,
    fleetUrl,
    hubUrl: env.PLUMBLINE_HUB,
    hub: () => hub!,
    logs,
    async startHub() {
      hub = startProcess(
        process.execPath,
        [
          cli,
          "hub",
          `--fleet=${fleetUrl}`,
          `--identity=${identity}`,
          `--data=${data}`,
          "--allow-repository-host=127.0.0.1",
          `--webhook-secret-file=${secretFile}`,
          `--poll-ms=${options.pollMs ?? 60_000}`,
          // A killed hub's successor waits for three of these.
          "--lease-period-ms=300",
          `--listen-http=127.0.0.1:${http}`,
          `--listen-grpc=127.0.0.1:${grpc}`,
          `--listen-nats=127.0.0.1:${nats}`,
        ],
        { env, cwd: folder },
      );
      await untilReady(hub, "hub", async () => (await fetch(`${env.PLUMBLINE_HUB}/readyz`)).ok);
    },
    async stopHub(signal = "SIGTERM") {
      await hub?.kill(signal);
    },
    deleteData: () => rm(data, { recursive: true, force: true }),
    plumb,
    async ask<Answer>(...arguments_: string[]) {
      const ran = await plumb(...arguments_, "-o", "json");
      if (ran.code !== 0)
        throw new Error(`plumb ${arguments_.join(" ")} exited with ${ran.code}: ${ran.stderr}\n${logs()}`);
      return JSON.parse(ran.stdout) as Answer;
    },
    async request(path, signal) {
      const token = (await readFile(env.PLUMBLINE_TOKEN_FILE, "utf8")).trim();
      const headers = { authorization: `Bearer ${token}` };
      return fetch(`${env.PLUMBLINE_HUB}${path}`, { headers, signal: signal ?? null });
    },
    recorded: (path) => git.git("fleet", ["show", `${recordBranch}:${path}`]),
    status: () => api<StatusAnswer>("/api/v1/status"),
    drift: () => api<DriftRow[]>("/api/v1/drift"),
    register: (cluster, labels) =>
      world.ask<RegisterAnswer>(
        "cluster",
        "register",
        cluster,
        ...Object.entries(labels).flatMap(([name, value]) => ["-l", `${name}=${value}`]),
      ),
    async join(cluster, answer, kubeconfig, ...more) {
      const line = answer.joinCommand.replace("FILE", kubeconfig).split(" ").slice(1);
      settings.set(cluster, options.printedSettings === true ? printedSettings(answer.paste) : {});
      const own = { ...env, ...settings.get(cluster) };
      agents.set(cluster, startProcess(process.execPath, [cli, ...line, ...more], { env: own, cwd: folder }));
      await world.until(
        `${cluster} to join`,
        async () => (await api<ClusterAnswer>(`/api/v1/clusters/${cluster}`)).state === "Connected",
      );
    },
    startAgent(cluster, kubeconfig, ...more) {
      const running = startProcess(process.execPath, [cli, "agent", "run", `--kubeconfig=${kubeconfig}`, ...more], {
        env: { ...env, ...settings.get(cluster) },
        cwd: folder,
      });
      agents.set(cluster, running);
      return running;
    },
    agent: (cluster) => agents.get(cluster)!,
    async until(what, holds) {
      const deadline = Date.now() + 60_000;
      while (!(await holds().catch(() => false))) {
        if (Date.now() > deadline) throw new Error(`waited a minute for ${what}\n${logs()}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    async tap(seen) {
      const { nats: keys, authority } = await loadIdentity(identity);
      const connection = await connect({
        servers: `127.0.0.1:${nats}`,
        tls: { ca: authority.certificatePem },
        authenticator: jwtAuthenticator(keys.hubUser.jwt, new TextEncoder().encode(keys.hubUser.seed)),
        maxReconnectAttempts: -1,
        reconnectTimeWait: 50,
      });
      connection.subscribe("plb.>", { callback: (_error, message) => seen(message.subject) });
      await connection.flush();
      return { [Symbol.asyncDispose]: () => connection.close() };
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };

  async function api<Answer>(path: string): Promise<Answer> {
    const response = await world.request(path);
    if (!response.ok) throw new Error(`${path} answered ${response.status}`);
    return (await response.json()) as Answer;
  }

  const made = await plumb("init", `--identity=${identity}`, "-o", "json");
  if (made.code !== 0) throw new Error(`plumb init: ${made.stderr}`);
  const { access } = JSON.parse(made.stdout) as { access: string };
  await git.commit("fleet", "main", { "fleet/access.yaml": access }, "who may do what");
  const all = started.move();
  return world;
}
