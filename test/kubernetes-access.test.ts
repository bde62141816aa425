import { chmod, mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { inClusterAccess, kubeconfigAccess } from "#agent/cluster/access.ts";
import type { Cluster, WatchEvent } from "#agent/cluster/cluster.ts";
import { ApiError } from "#agent/cluster/errors.ts";
import { openKubernetes } from "#agent/cluster/kubernetes.ts";
import { openTransport, type Transport } from "#agent/cluster/transport.ts";
import type { KubeObject } from "#proto/object.ts";
import { startApiProxy, type Passing } from "#test/harness/api-proxy.ts";
import { openSharedControlPlane, type SharedControlPlane } from "#test/harness/shared-control-plane.ts";

let plane: SharedControlPlane;
let folder: string;
let people: Cluster;
let raw: Transport;

beforeAll(async () => {
  plane = await openSharedControlPlane();
  folder = await mkdtemp(join(tmpdir(), "plumbline-access-"));
  const access = await kubeconfigAccess(plane.adminKubeconfig);
  people = openKubernetes(access, { manager: "people" });
  raw = openTransport(access);
  await people.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: "access" } });
});
afterAll(async () => {
  await Promise.all([people, raw, plane].map((one) => one[Symbol.asyncDispose]()));
  await rm(folder, { recursive: true });
});

/** A token of a ServiceAccount, as the kubelet gets it for a Pod. */
async function tokenOf(name: string): Promise<string> {
  await people.apply({ apiVersion: "v1", kind: "ServiceAccount", metadata: { name, namespace: "access" } });
  const path = `/api/v1/namespaces/access/serviceaccounts/${name}/token`;
  const body = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: { expirationSeconds: 600 } };
  return ((await raw.call({ method: "POST", path, body })) as { status: { token: string } }).status.token;
}
const userOf = async (cluster: Cluster): Promise<string> => {
  const review: KubeObject = {
    apiVersion: "authentication.k8s.io/v1",
    kind: "SelfSubjectReview",
    metadata: {} as KubeObject["metadata"],
  };
  const told = (await cluster.create(review)) as unknown as { status: { userInfo: { username: string } } };
  return told.status.userInfo.username;
};
const address = () => ({ host: "127.0.0.1", port: new URL(plane.server).port });

test("in a Pod: a token that is refused is read again at once, whatever its age", async () => {
  await writeFile(join(folder, "ca.crt"), plane.caPem);
  await writeFile(join(folder, "token"), "ended");
  const access = inClusterAccess(address(), folder);
  await access.credentials();
  await using agent = openKubernetes(access);
  // The kubelet has written the next one meanwhile.
  await writeFile(join(folder, "token"), `${await tokenOf("first")}\n`);
  expect(await userOf(agent)).toBe("system:serviceaccount:access:first");
});

test("a token that is refused and has no successor is told, after one more look", async () => {
  await writeFile(join(folder, "ca.crt"), plane.caPem);
  await writeFile(join(folder, "token"), "nonsense");
  await using agent = openKubernetes(inClusterAccess(address(), folder));
  const refused = await agent
    .version()
    .then(() => userOf(agent))
    .catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(ApiError);
  expect(refused).toMatchObject({ status: 401 });
});

test("a client certificate that is replaced on disk is used from then on, and watches of before go on", async () => {
  const config = JSON.parse(await readText(await plane.kubeconfig("cert-old", ["system:masters"]))) as Kubeconfig;
  const later = JSON.parse(await readText(await plane.kubeconfig("cert-new"))) as Kubeconfig;
  const path = join(folder, "rotating.kubeconfig");
  const write = async ({ user }: { user: KubeconfigUser }): Promise<void> => {
    await writeFile(join(folder, "client.crt"), Buffer.from(user["client-certificate-data"], "base64"));
    await writeFile(join(folder, "client.key"), Buffer.from(user["client-key-data"], "base64"));
  };
  await write(config.users[0]!);
  const user = { "client-certificate": join(folder, "client.crt"), "client-key": join(folder, "client.key") };
  await writeFile(path, JSON.stringify({ ...config, users: [{ name: "u", user }] }));
  const access = await kubeconfigAccess(path);
  await using agent = openKubernetes(access);
  expect(await userOf(agent)).toBe("cert-old");
  const kind = (await agent.kindOf("v1", "Namespace"))!;
  const ofIt = { labelSelector: "kubernetes.io/metadata.name=access" };
  const watching = agent.watch(kind, "0", ofIt)[Symbol.asyncIterator]();
  expect((await watching.next()).value).toMatchObject({ type: "ADDED" });
  await write(later.users[0]!);
  // What a minute does, or a 401.
  await access.credentials(true);
  expect(await userOf(agent)).toBe("cert-new");
  // What was opened with the old one goes on.
  const labels = { rotated: String(performance.now()) };
  await people.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: "access", labels } });
  let heard: WatchEvent;
  do heard = (await watching.next()).value as WatchEvent;
  while (heard.type === "BOOKMARK" || heard.object.metadata.labels?.["rotated"] !== labels.rotated);
  await watching.return?.();
});

test("a kubeconfig that is written anew is read anew", async () => {
  const path = join(folder, "renewed.kubeconfig");
  await writeFile(path, await readText(await plane.kubeconfig("config-old")));
  await utimes(path, 1, 1);
  const access = await kubeconfigAccess(path);
  await using agent = openKubernetes(access);
  expect(await userOf(agent)).toBe("config-old");
  await writeFile(path, await readText(await plane.kubeconfig("config-new")));
  await access.credentials(true);
  expect(await userOf(agent)).toBe("config-new");
});

test("an exec plugin gives the token, and only where a kubeconfig names it", async () => {
  const plugin = join(folder, "plugin");
  const credential = {
    apiVersion: "client.authentication.k8s.io/v1",
    kind: "ExecCredential",
    status: { token: await tokenOf("by-plugin") },
  };
  await writeFile(plugin, `#!/bin/sh\necho '${JSON.stringify(credential)}'\n`);
  await chmod(plugin, 0o700);
  const config = JSON.parse(await readText(await plane.kubeconfig("nobody"))) as Kubeconfig;
  const exec = { apiVersion: "client.authentication.k8s.io/v1", command: plugin, interactiveMode: "Never" };
  const path = join(folder, "exec.kubeconfig");
  await writeFile(path, JSON.stringify({ ...config, users: [{ name: "u", user: { exec } }] }));
  await using agent = openKubernetes(await kubeconfigAccess(path));
  expect(await userOf(agent)).toBe("system:serviceaccount:access:by-plugin");
});

test("an exec plugin is asked again when what it gave is refused, once for all that were refused together", async () => {
  const [plugin, credential, asked] = ["plugin-2", "credential", "asked"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  // Without an expirationTimestamp: nothing but the refusal says that it has ended.
  const give = (token: string): Promise<void> =>
    writeFile(
      credential,
      JSON.stringify({ apiVersion: "client.authentication.k8s.io/v1", kind: "ExecCredential", status: { token } }),
    );
  await writeFile(plugin, `#!/bin/sh\necho asked >> ${asked}\ncat ${credential}\n`);
  await chmod(plugin, 0o700);
  await give(await tokenOf("plugin-old"));
  await using agent = openKubernetes(await kubeconfigAccess(await withUser("exec-2", execOf(plugin))));
  expect(await userOf(agent)).toBe("system:serviceaccount:access:plugin-old");
  // Its ServiceAccount is gone, and its token with it.
  const old = { apiVersion: "v1", group: "", kind: "ServiceAccount", namespace: "access", name: "plugin-old" };
  await people.delete(old, { uid: (await people.get(old))!.metadata.uid! });
  await expect.poll(() => userOf(agent).catch(({ status }: ApiError) => status), { timeout: 20_000 }).toBe(401);
  const before = (await readText(asked)).split("\n").length;
  await give(await tokenOf("plugin-new"));
  const users = await Promise.all(Array.from({ length: 8 }, () => userOf(agent)));
  expect(new Set(users)).toEqual(new Set(["system:serviceaccount:access:plugin-new"]));
  expect((await readText(asked)).split("\n").length - before).toBeLessThan(8);
});

test("a token file that a kubeconfig names is read, beside the kubeconfig, and again when what it held is refused", async () => {
  await writeFile(join(folder, "rotating-token"), "ended");
  await using agent = openKubernetes(
    await kubeconfigAccess(await withUser("token-file", { tokenFile: "rotating-token" })),
  );
  await expect(userOf(agent)).rejects.toMatchObject({ status: 401 });
  await writeFile(join(folder, "rotating-token"), `${await tokenOf("by-file")}\n`);
  expect(await userOf(agent)).toBe("system:serviceaccount:access:by-file");
});

test("a kubeconfig that acts as somebody gives that one's rights, and not in the place of a ServiceAccount", async () => {
  const config = JSON.parse(await readText(plane.adminKubeconfig)) as Kubeconfig;
  const path = await withUser("acting", { ...config.users[0]!.user, as: "somebody" });
  await using agent = openKubernetes(await kubeconfigAccess(path));
  expect(await userOf(agent)).toBe("somebody");
  expect(await userOf(agent.as("system:serviceaccount:access:one"))).toBe("system:serviceaccount:access:one");
});

const execOf = (command: string): object => ({
  exec: { apiVersion: "client.authentication.k8s.io/v1", command, interactiveMode: "Never" },
});
/** The admin's kubeconfig with another user in it. */
async function withUser(name: string, user: object): Promise<string> {
  const config = JSON.parse(await readText(await plane.kubeconfig("nobody"))) as Kubeconfig;
  const path = join(folder, `${name}.kubeconfig`);
  await writeFile(path, JSON.stringify({ ...config, users: [{ name: config.users[0]!.name, user }] }));
  return path;
}

test("a proxy of the environment is not for API servers; that of the kubeconfig is", async () => {
  const before = { ...process.env };
  // Nobody listens there.
  Object.assign(process.env, { HTTPS_PROXY: "http://127.0.0.1:9", https_proxy: "http://127.0.0.1:9", NO_PROXY: "" });
  try {
    await using agent = openKubernetes(await kubeconfigAccess(plane.adminKubeconfig));
    expect(await userOf(agent)).toBe("admin");
  } finally {
    for (const name of ["HTTPS_PROXY", "https_proxy", "NO_PROXY"])
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
  }
  const config = JSON.parse(await readText(plane.adminKubeconfig)) as Kubeconfig;
  const path = join(folder, "proxied.kubeconfig");
  const cluster = { ...config.clusters[0]!.cluster, "proxy-url": "http://127.0.0.1:9" };
  await writeFile(path, JSON.stringify({ ...config, clusters: [{ name: "c", cluster }] }));
  await using proxied = openKubernetes(await kubeconfigAccess(path));
  await expect(proxied.version()).rejects.toThrow();
});

test("a request that was turned away (429) is sent again, as late as the server asks; the last refusal is told", async () => {
  const access = await kubeconfigAccess(plane.adminKubeconfig);
  let left = 2;
  let asked = "7";
  const body = JSON.stringify({ kind: "Status", code: 429, reason: "TooManyRequests", message: "too many requests" });
  await using proxy = await startApiProxy(access, (): Passing => {
    left -= 1;
    return left < 0 ? {} : { status: 429, body, headers: { "retry-after": asked } };
  });
  const waits: number[] = [];
  const sleep = async (ms: number): Promise<void> => void waits.push(ms);
  const clock = { now: Date.now, monotonic: () => 0, sleep };
  await using transport = openTransport({ server: proxy.url, credentials: async () => ({ headers: {} }) }, { clock });
  expect(await transport.call({ method: "GET", path: "/version" })).toHaveProperty("gitVersion");
  expect(waits).toHaveLength(2);
  for (const wait of waits) expect(wait).toBeGreaterThanOrEqual(7_000);
  // All that it turned away at once do not come back at once.
  expect(new Set(waits).size).toBe(2);
  left = 100;
  const refusal = transport.call({ method: "GET", path: "/version" });
  await expect(refusal).rejects.toMatchObject({ status: 429, retryAfterMs: 7_000 });
  expect(waits).toHaveLength(7);
  // Nobody waits an hour with a request in hand: whoever asked is told of the hour.
  asked = "3600";
  const longer = transport.call({ method: "GET", path: "/version" });
  await expect(longer).rejects.toMatchObject({ status: 429, retryAfterMs: 3_600_000 });
  expect(Math.max(...waits)).toBeLessThan(30_000);
});

test("what a server serves is two requests, and at most twice as many for all that miss a kind together", async () => {
  await using proxy = await startApiProxy(await kubeconfigAccess(plane.adminKubeconfig));
  await using agent = openKubernetes({ server: proxy.url, credentials: async () => ({ headers: {} }) });
  await Promise.all(["ConfigMap", "Secret"].map((kind) => agent.kindOf("v1", kind)));
  expect(await agent.kindOf("apps/v1", "Deployment")).toBeDefined();
  // Others hand groups of their own to servers that do not answer: such a group is asked by itself.
  const seen = (): string[] => proxy.seen.filter((line) => !line.includes(".example."));
  expect(seen().sort()).toEqual(["GET /api", "GET /apis"]);
  const missed = await Promise.all(Array.from({ length: 8 }, () => agent.kindOf("apps/v1", "Nonsense")));
  expect(new Set(missed)).toEqual(new Set([undefined]));
  // What was asked before somebody missed it may not have it yet: those who come during a look share the next.
  expect(seen().length).toBeLessThanOrEqual(6);
});

test("a server without aggregated discovery is asked group by group", async () => {
  const access = await kubeconfigAccess(plane.adminKubeconfig);
  await using proxy = await startApiProxy(access, () => ({ headers: { accept: "application/json" } }));
  await using plain = openKubernetes({ server: proxy.url, credentials: async () => ({ headers: {} }) });
  const deployment = await plain.kindOf("apps/v1", "Deployment");
  expect(deployment).toMatchObject({
    resource: "deployments",
    namespaced: true,
    verbs: expect.arrayContaining(["watch"]) as string[],
  });
  expect(deployment).toMatchObject({
    ...(await people.kindOf("apps/v1", "Deployment")),
    verbs: expect.anything() as string[],
  });
  expect(proxy.seen).toContain("GET /apis/apps/v1");
  expect(await plain.kindOf("apps/v1", "Nonsense")).toBeUndefined();
});

test("a list whose pages are too old in the middle says so, instead of giving half of it", async () => {
  const access = await kubeconfigAccess(plane.adminKubeconfig);
  await Promise.all(
    Array.from({ length: 501 }, (_, n) =>
      people.apply({
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: `n${n}`, namespace: "access", labels: { suite: "access" } },
      }),
    ),
  );
  const gone = JSON.stringify({
    kind: "Status",
    code: 410,
    reason: "Expired",
    message: "the continue token is too old",
  });
  await using proxy = await startApiProxy(access, ({ url }): Passing =>
    url?.includes("continue=") ? { status: 410, body: gone } : {},
  );
  await using agent = openKubernetes({ server: proxy.url, credentials: async () => ({ headers: {} }) });
  const kind = (await agent.kindOf("v1", "ConfigMap"))!;
  await expect(agent.list(kind, { namespace: "access", labelSelector: "suite=access" })).rejects.toThrow("too old");
});

test.each([
  [
    "a cluster whose server nobody can tell from another",
    { "insecure-skip-tls-verify": true },
    "x",
    "insecure-skip-tls",
  ],
  ["no such context", {}, "y", "its context y names no cluster; name another by --context"],
])("a kubeconfig with %s is an error that says what to do", async (_what, more, context, because) => {
  const path = join(folder, "refused.kubeconfig");
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "c", cluster: { server: plane.server, ...more } }],
    users: [{ name: "u", user: { token: "t" } }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
  };
  await writeFile(path, JSON.stringify(config));
  await expect(kubeconfigAccess(path, context)).rejects.toThrow(because);
});

test("an API whose own server is down is not known, and never gone", async () => {
  const group = "down.example.com";
  const service = await people.apply({
    apiVersion: "apiregistration.k8s.io/v1",
    kind: "APIService",
    metadata: { name: `v1.${group}` },
    spec: {
      group,
      version: "v1",
      groupPriorityMinimum: 100,
      versionPriority: 100,
      insecureSkipTLSVerify: true,
      service: { name: "nowhere", namespace: "access" },
    },
  });
  try {
    await using agent = openKubernetes(await kubeconfigAccess(plane.adminKubeconfig));
    const widget = { apiVersion: `${group}/v1`, group, kind: "Widget", namespace: "access", name: "w" };
    const said = (work: Promise<unknown>) => work.then(String, (error: Error) => error.name);
    // The server takes the APIService into its discovery when it has seen it.
    await expect
      .poll(() => said(agent.kindOf(widget.apiVersion, "Widget")), { timeout: 20_000 })
      .toBe("KindUnavailable");
    expect(await said(agent.get(widget))).toBe("KindUnavailable");
    expect(await said(agent.delete(widget, { uid: "u" }))).toBe("KindUnavailable");
    expect(await agent.kindOf("apps/v1", "Deployment")).toBeDefined();
  } finally {
    await people.delete(
      {
        apiVersion: "apiregistration.k8s.io/v1",
        group: "apiregistration.k8s.io",
        kind: "APIService",
        namespace: "",
        name: `v1.${group}`,
      },
      { uid: service.metadata.uid! },
    );
  }
});

test("acts in another's name with that one's rights alone, reads and watches too", async () => {
  const asOther = people.as("system:serviceaccount:access:nobody");
  expect(await userOf(asOther)).toBe("system:serviceaccount:access:nobody");
  await expect(
    asOther.apply({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "theirs", namespace: "access" } }),
  ).rejects.toMatchObject({ status: 403 });
  const kind = (await people.kindOf("v1", "ConfigMap"))!;
  await expect(asOther.list(kind, { namespace: "access" })).rejects.toMatchObject({ status: 403 });
  const watching = asOther.watch(kind, "0", { namespace: "access" })[Symbol.asyncIterator]();
  await expect(watching.next()).rejects.toMatchObject({ status: 403 });
});

test("an object is found, and deleted, under another version once its own is served no more", async () => {
  const group = "versions.example.com";
  const schema = { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } };
  const definition = (served: boolean): KubeObject => ({
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `gears.${group}` },
    spec: {
      group,
      scope: "Namespaced",
      names: { plural: "gears", singular: "gear", kind: "Gear", listKind: "GearList" },
      versions: [
        { name: "v1", served, storage: false, schema },
        { name: "v2", served: true, storage: true, schema },
      ],
    },
  });
  const gear: KubeObject = { apiVersion: `${group}/v1`, kind: "Gear", metadata: { name: "g", namespace: "access" } };
  const address = { apiVersion: gear.apiVersion, group, kind: "Gear", namespace: "access", name: "g" };
  await people.apply(definition(true));
  await expect.poll(() => people.apply(gear).then(() => "", String), { timeout: 20_000 }).toBe("");
  await using agent = openKubernetes(await kubeconfigAccess(plane.adminKubeconfig));
  await using other = openKubernetes(await kubeconfigAccess(plane.adminKubeconfig));
  // Both know the kind as it is served now.
  const uid = (await agent.get(address))!.metadata.uid!;
  expect(await other.get(address)).toBeDefined();
  await people.apply(definition(false), { force: true });
  const path = `/apis/${group}/v1/namespaces/access/gears/g`;
  await expect
    .poll(
      () =>
        raw.call({ method: "GET", path }).then(
          () => 200,
          ({ status }: ApiError) => status,
        ),
      { timeout: 20_000 },
    )
    .toBe(404);
  expect((await agent.get(address))?.metadata.uid).toBe(uid);
  expect(await other.delete(address, { uid })).toBe("deleted");
  expect(await agent.get(address)).toBeUndefined();
});

type KubeconfigUser = Record<"client-certificate-data" | "client-key-data", string>;
type Kubeconfig = { clusters: { cluster: object }[]; users: { name: string; user: KubeconfigUser }[] };
const readText = async (path: string): Promise<string> => (await import("node:fs/promises")).readFile(path, "utf8");
