import { generateKeyPairSync } from "node:crypto";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { kubeconfigAccess } from "#agent/cluster/access.ts";
import { openKubernetes } from "#agent/cluster/kubernetes.ts";
import { readAuditLog, type AuditedRequest } from "#test/harness/audit-log.ts";
import { createAuthority, type Authority } from "#test/harness/authority.ts";
import { freePorts } from "#test/harness/free-port.ts";
import { writeKubeconfig } from "#test/harness/kubeconfig.ts";
import { startProcess, untilReady, type RunningProcess } from "#test/harness/process.ts";
import { serverPath } from "#test/harness/servers.ts";

/** A real etcd and kube-apiserver on loopback. */
export type ControlPlane = AsyncDisposable & {
  readonly server: string;
  readonly caPem: string;
  /** Signs its users. */
  readonly authority: Authority;
  readonly auditLog: string;
  /** Member of system:masters. */
  readonly adminKubeconfig: string;
  /** The one that runs now. */
  readonly apiserver: RunningProcess;
  /** Kills the API server; resolves with what starts it again, on the same port with the same data. */
  stopApiserver(): Promise<() => Promise<void>>;
  /** Keeps a copy of all of etcd's data as it is now; resolves with what puts it back, under a new API server. */
  saveData(): Promise<() => Promise<void>>;
  /** Writes a kubeconfig for a user of that name (and groups), and gives its path. */
  kubeconfig(user: string, groups?: readonly string[]): Promise<string>;
  /** What the API server itself recorded: exact, by user and verb. */
  requests(): Promise<AuditedRequest[]>;
};

/**
 * Starts a control plane; `controllerManager` also starts kube-controller-manager, which makes Deployments do something;
 * `nodes` also a scheduler and a node of kwok's, so that their Pods run.
 */
export async function startControlPlane(
  options: { controllerManager?: boolean; nodes?: boolean } = {},
): Promise<ControlPlane> {
  await using scope = new AsyncDisposableStack();
  // Servers that are started again later belong to the same life.
  const started = scope.use(new AsyncDisposableStack());
  const folder = await mkdtemp(join(tmpdir(), "plumbline-control-plane-"));
  started.defer(() => rm(folder, { recursive: true, force: true }));
  const authority = await createAuthority();
  const [client, peer, secure, managerPort] = (await freePorts(4)) as [number, number, number, number];
  const server = `https://127.0.0.1:${secure}`;

  // The API server gives up for good 20 s after its start when etcd is not there by then.
  const openEtcd = async (): Promise<RunningProcess> => {
    const opened = started.use(startEtcd(folder, client, peer));
    await untilReady(opened, "etcd", () => isHealthy(client));
    return opened;
  };
  const flags = await prepareApiserver(folder, authority, client, secure);
  const openApiserver = async (): Promise<RunningProcess> => {
    const opened = started.use(startProcess(serverPath("kube-apiserver"), flags));
    await untilReady(opened, "kube-apiserver", () => isReady(server, authority.certificatePem));
    return opened;
  };
  let etcd = await openEtcd();
  let apiserver = await openApiserver();

  const kubeconfig = (user: string, groups: readonly string[] = []): Promise<string> =>
    writeKubeconfig(folder, authority, server, user, groups);
  const adminKubeconfig = await kubeconfig("admin", ["system:masters"]);
  if (options.nodes === true)
    await startNodes(started, folder, adminKubeconfig, await kubeconfig("system:kube-scheduler"));
  if (options.controllerManager === true || options.nodes === true) {
    const own = await kubeconfig("system:kube-controller-manager");
    started.use(startControllerManager(folder, own, managerPort));
  }
  const all = scope.move();
  const dataFolder = join(folder, "etcd");
  return {
    server,
    caPem: authority.certificatePem,
    authority,
    auditLog: join(folder, "audit.log"),
    adminKubeconfig,
    get apiserver() {
      return apiserver;
    },
    async stopApiserver() {
      await apiserver.kill("SIGKILL");
      return async () => void (apiserver = await openApiserver());
    },
    async saveData() {
      const copy = await mkdtemp(join(folder, "etcd-copy-"));
      // A stopped process writes nothing: the copy is what a crash at this moment would have left.
      etcd.child.kill("SIGSTOP");
      await cp(dataFolder, copy, { recursive: true }).finally(() => etcd.child.kill("SIGCONT"));
      return async () => {
        await apiserver.kill("SIGKILL");
        await etcd.kill("SIGKILL");
        await rm(dataFolder, { recursive: true });
        await cp(copy, dataFolder, { recursive: true });
        etcd = await openEtcd();
        apiserver = await openApiserver();
      };
    },
    kubeconfig,
    requests: () => readAuditLog(join(folder, "audit.log")),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

function startEtcd(folder: string, client: number, peer: number): RunningProcess {
  const clientUrl = `http://127.0.0.1:${client}`;
  const peerUrl = `http://127.0.0.1:${peer}`;
  return startProcess(serverPath("etcd"), [
    `--data-dir=${join(folder, "etcd")}`,
    "--unsafe-no-fsync",
    `--listen-client-urls=${clientUrl}`,
    `--advertise-client-urls=${clientUrl}`,
    `--listen-peer-urls=${peerUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--initial-cluster=default=${peerUrl}`,
    "--log-level=warn",
  ]);
}

/** Writes the files of an API server, and gives the flags to start it with. */
async function prepareApiserver(
  folder: string,
  authority: Authority,
  etcdPort: number,
  port: number,
): Promise<string[]> {
  const own = await authority.issue("CN=kube-apiserver", {
    dns: ["localhost", "kubernetes.default.svc"],
    ips: ["127.0.0.1", "10.0.0.1"],
  });
  const serviceAccounts = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const file = (name: string): string => join(folder, name);
  await Promise.all([
    writeFile(file("ca.crt"), authority.certificatePem),
    writeFile(file("server.crt"), own.certificatePem),
    writeFile(file("server.key"), own.keyPem),
    writeFile(file("sa.key"), serviceAccounts.privateKey.export({ type: "sec1", format: "pem" })),
    writeFile(file("sa.pub"), serviceAccounts.publicKey.export({ type: "spki", format: "pem" })),
    writeFile(
      file("audit.yaml"),
      "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n",
    ),
  ]);
  return [
    `--etcd-servers=http://127.0.0.1:${etcdPort}`,
    `--secure-port=${port}`,
    "--bind-address=127.0.0.1",
    "--advertise-address=127.0.0.1",
    "--service-cluster-ip-range=10.0.0.0/16",
    `--tls-cert-file=${file("server.crt")}`,
    `--tls-private-key-file=${file("server.key")}`,
    `--client-ca-file=${file("ca.crt")}`,
    `--service-account-key-file=${file("sa.pub")}`,
    `--service-account-signing-key-file=${file("sa.key")}`,
    "--service-account-issuer=https://kubernetes.default.svc",
    "--authorization-mode=RBAC",
    "--endpoint-reconciler-type=none",
    // Without a controller-manager nobody makes service accounts, and every Pod would be refused.
    "--disable-admission-plugins=ServiceAccount",
    `--audit-policy-file=${file("audit.yaml")}`,
    `--audit-log-path=${file("audit.log")}`,
    "--audit-log-maxsize=1000",
    "--allow-privileged=true",
  ];
}

function startControllerManager(folder: string, kubeconfig: string, port: number): RunningProcess {
  return startProcess(serverPath("kube-controller-manager"), [
    `--kubeconfig=${kubeconfig}`,
    "--leader-elect=false",
    // Without it RBAC refuses its controllers, and Deployments get no ReplicaSets.
    "--use-service-account-credentials=true",
    `--service-account-private-key-file=${join(folder, "sa.key")}`,
    `--root-ca-file=${join(folder, "ca.crt")}`,
    "--bind-address=127.0.0.1",
    `--secure-port=${port}`,
    `--cert-dir=${folder}`,
  ]);
}

/** A scheduler, and one node that kwok plays: what is scheduled there is Ready a second later. */
async function startNodes(
  started: AsyncDisposableStack,
  folder: string,
  adminKubeconfig: string,
  schedulerKubeconfig: string,
): Promise<void> {
  const [schedulerPort, kwokPort] = (await freePorts(2)) as [number, number];
  started.use(
    startProcess(serverPath("kube-scheduler"), [
      `--kubeconfig=${schedulerKubeconfig}`,
      "--leader-elect=false",
      "--bind-address=127.0.0.1",
      `--secure-port=${schedulerPort}`,
      `--cert-dir=${folder}`,
    ]),
  );
  await using people = openKubernetes(await kubeconfigAccess(adminKubeconfig), { manager: "harness" });
  const room = { cpu: "64", memory: "256Gi", pods: "500" };
  await people.create({
    apiVersion: "v1",
    kind: "Node",
    metadata: { name: "node-1", labels: { "kubernetes.io/hostname": "node-1" } },
    status: { allocatable: room, capacity: room },
  });
  started.use(
    startProcess(serverPath("kwok"), [
      `--kubeconfig=${adminKubeconfig}`,
      `--config=${fileURLToPath(new URL("./kwok-stages.yaml", import.meta.url))}`,
      "--manage-all-nodes=true",
      "--node-ip=127.0.0.1",
      `--server-address=127.0.0.1:${kwokPort}`,
    ]),
  );
}

async function isHealthy(etcdPort: number): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${etcdPort}/health`);
  return ((await response.json()) as { health?: string }).health === "true";
}

function isReady(server: string, ca: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    get(`${server}/readyz`, { ca, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    }).once("error", reject);
  });
}
