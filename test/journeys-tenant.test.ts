import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { kubeconfigAccess } from "#agent/cluster/access.ts";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { openKubernetes } from "#agent/cluster/kubernetes.ts";
import { openTransport } from "#agent/cluster/transport.ts";
import type { RegisterAnswer } from "#proto/api.ts";
import type { KubeObject } from "#proto/object.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import * as manifests from "#test/harness/manifests.ts";
import { startProcess } from "#test/harness/process.ts";
import { serverPath } from "#test/harness/servers.ts";
import { startWorld, type World } from "#test/harness/world.ts";

const agentUser = "system:serviceaccount:plumbline-agent:plumbline-agent";
const deployer = "system:serviceaccount:plumbline-agent:plumbline-deployer";
const limits = ["--profile=tenant", "--namespaces=shop,team", "--kinds=Service,ConfigMap,apps/Deployment"];
const settings = [
  "--profile=tenant",
  "--default-service-account=plumbline-agent/plumbline-deployer",
  "--allow-namespaces=shop,team",
  "--allow-kinds=Service,ConfigMap,apps/Deployment",
];
let world: World;
let plane: ControlPlane;
let people: Cluster;
let agent: Cluster;
let kubeconfig: string;

beforeAll(async () => {
  [world, plane] = await Promise.all([startWorld(), startControlPlane()]);
  people = openKubernetes(await kubeconfigAccess(plane.adminKubeconfig), { manager: "kubectl-edit" });
  await world.startHub();
});
afterAll(async () => {
  await agent?.[Symbol.asyncDispose]();
  await people?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
  await plane?.[Symbol.asyncDispose]();
});

const configMap = (namespace: string, name: string) => ({
  apiVersion: "v1",
  group: "",
  kind: "ConfigMap",
  namespace,
  name,
});
const level = async (namespace: string, name: string) =>
  ((await people.get(configMap(namespace, name)))?.["data"] as { level?: string } | undefined)?.level;
const own = async () => (await plane.requests()).filter(({ user }) => user === agentUser);
const application = (name: string, namespace: string, delivery: object = {}) =>
  manifests.application(name, { path: `deploy/${name}`, namespace, environments: ["prod"], delivery });
const push = (files: Record<string, string | null>) => world.git.commit("fleet", "main", files, "change");
const running = async (name: string) => {
  const told = await world.ask<{ running: { application: string; phase: string; reason: string }[] }>(
    "cluster",
    "show",
    "eu-1",
  );
  return told.running.find(({ application }) => application === name);
};

/** The server reads rights from a cache of its own, a moment after they were given: what is refused before then is refused for good. */
async function untilAllowed(user: string, verb: string, namespace: string, resource: string, name = ""): Promise<void> {
  await using raw = openTransport(await kubeconfigAccess(plane.adminKubeconfig));
  const path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
  const spec = { user, resourceAttributes: { verb, namespace, resource, name } };
  const body = { apiVersion: "authorization.k8s.io/v1", kind: "SubjectAccessReview", spec };
  await world.until(`${user} to be allowed to ${verb} ${resource}`, async () => {
    const answer = (await raw.call({ method: "POST", path, body })) as { status: { allowed: boolean } };
    return answer.status.allowed;
  });
}

/** As the kubelet gives it to the agent's Pod. */
async function tokenKubeconfig(): Promise<string> {
  await using raw = openTransport(await kubeconfigAccess(plane.adminKubeconfig));
  const path = "/api/v1/namespaces/plumbline-agent/serviceaccounts/plumbline-agent/token";
  const body = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: { expirationSeconds: 3_600 } };
  const { status } = (await raw.call({ method: "POST", path, body })) as { status: { token: string } };
  const file = join(world.folder, "tenant.kubeconfig");
  const ca = Buffer.from(plane.caPem).toString("base64");
  const cluster = { server: plane.server, "certificate-authority-data": ca };
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "c", cluster }],
    users: [{ name: "u", user: { token: status.token } }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
    "current-context": "x",
  };
  await writeFile(file, JSON.stringify(config));
  return file;
}

test("what register prints for a tenant is accepted as it is, and its agent joins and delivers with those rights alone", async () => {
  await push({
    "fleet/prod.yaml": manifests.environment("prod", { follow: "main" }),
    "fleet/shop.yaml": application("shop", "shop"),
    "deploy/shop/a.yaml": manifests.configMap("a", { level: "info" }),
    "deploy/shop/gone.yaml": manifests.configMap("gone", {}),
    "deploy/shop/web.yaml": manifests.service("web"),
  });
  const printed = await world.plumb(
    "cluster",
    "register",
    "eu-1",
    "-l",
    "env=prod",
    ...limits,
    "--service-account=shop/modest",
  );
  expect(printed).toMatchObject({ code: 0, stdout: expect.stringContaining("as a tenant") as string });
  expect(printed.stdout).not.toContain("cluster-admin");
  expect(printed.stdout).not.toContain("ClusterRole");
  const file = join(world.folder, "tenant.yaml");
  await writeFile(file, printed.stdout);
  await using kubectl = startProcess(serverPath("kubectl"), [
    `--kubeconfig=${plane.adminKubeconfig}`,
    "apply",
    "-f",
    file,
  ]);
  await kubectl.ended;
  expect(kubectl.log()).toContain("deployment.apps/plumbline-agent created");
  expect(kubectl.child.exitCode).toBe(0);
  await untilAllowed(agentUser, "create", "plumbline-agent", "secrets");
  await untilAllowed(agentUser, "impersonate", "plumbline-agent", "serviceaccounts", "plumbline-deployer");
  await untilAllowed(agentUser, "impersonate", "shop", "serviceaccounts", "modest");
  for (const place of ["shop", "team"]) {
    await untilAllowed(agentUser, "watch", place, "configmaps");
    await untilAllowed(deployer, "patch", place, "configmaps");
  }
  kubeconfig = await tokenKubeconfig();
  const answer = await world.ask<RegisterAnswer>("cluster", "register", "eu-1", ...limits);
  const token = /--token (\S+)/.exec(answer.joinCommand)![1]!;
  const link = await fetch(`${world.hubUrl}/join/eu-1?token=${token}&profile=admin`);
  expect(await link.text()).toBe(answer.paste);
  await world.join("eu-1", answer, kubeconfig, ...settings);
  await world.until("the shop to run", async () => (await running("shop"))?.phase === "Applied");
  expect(await level("shop", "a")).toBe("info");
});

test("heals and prunes go through the ServiceAccount too; the agent itself writes nothing but its own Secrets", async () => {
  const there = (await people.get(configMap("shop", "a")))!;
  await people.replace({ ...there, data: { level: "debug" } });
  await world.until("the edit to be healed", async () => (await level("shop", "a")) === "info");
  await push({ "deploy/shop/gone.yaml": null });
  await world.until("the prune", async () => (await people.get(configMap("shop", "gone"))) === undefined);
  // The server writes down what it did when it answers, which is after others can see it.
  await world.until("the prune to be on record", async () =>
    (await own()).some(({ verb, namespace }) => verb === "delete" && namespace === "shop"),
  );
  const writes = (await own()).filter(({ verb }) => ["create", "update", "patch", "delete"].includes(verb));
  const delivered = writes.filter(({ namespace }) => namespace === "shop");
  expect(new Set(delivered.map(({ as }) => as))).toEqual(new Set([deployer]));
  expect(new Set(delivered.map(({ verb }) => verb))).toEqual(new Set(["patch", "delete"]));
  // The Namespace it tries to make when it joins is the only other thing, and was made by the manifests.
  const others = writes.filter(({ namespace, resource }) => namespace !== "shop" && resource !== "namespaces");
  expect(new Set(others.map(({ namespace, resource, as }) => `${namespace} ${resource}${as}`))).toEqual(
    new Set(["plumbline-agent secrets"]),
  );
});

test("asks for nothing that it may not have: one watch a kind and namespace", async () => {
  const asked = await own();
  expect(asked.filter(({ code, resource }) => code === 403 && resource !== "namespaces")).toEqual([]);
  const watched = asked
    .filter(({ verb }) => verb === "watch")
    .map(({ resource, namespace }) => `${resource} ${namespace}`);
  expect(watched.every((one) => / (shop|team|plumbline-agent)$/.test(one))).toBe(true);
  expect(watched.filter((one) => one === "configmaps shop")).toHaveLength(1);
});

test("its credentials read no Secret elsewhere and write nothing by themselves", async () => {
  agent = openKubernetes(await kubeconfigAccess(kubeconfig));
  const secret = { apiVersion: "v1", group: "", kind: "Secret" };
  await people.create({ apiVersion: "v1", kind: "Secret", metadata: { name: "private", namespace: "shop" } });
  for (const namespace of ["shop", "team", "kube-system", "default"])
    await expect(agent.get({ ...secret, namespace, name: "private" })).rejects.toMatchObject({ status: 403 });
  const map: KubeObject = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "own", namespace: "shop" } };
  await expect(agent.apply(map)).rejects.toMatchObject({ status: 403 });
  for (const user of [
    "system:serviceaccount:kube-system:default",
    "system:admin",
    "system:serviceaccount:shop:default",
  ])
    await expect(agent.as(user).apply(map)).rejects.toMatchObject({ status: 403 });
  await expect(
    agent.as(deployer).apply({ ...map, metadata: { name: "own", namespace: "default" } }),
  ).rejects.toMatchObject({
    status: 403,
  });
});

test("an Application with a ServiceAccount of its own can do what that one can, and is told the rest", async () => {
  const rbac = "rbac.authorization.k8s.io";
  const metadata = { name: "modest", namespace: "shop" };
  await people.apply({ apiVersion: "v1", kind: "ServiceAccount", metadata });
  const rules = [{ apiGroups: [""], resources: ["configmaps"], verbs: ["get", "create", "patch"] }];
  await people.apply({ apiVersion: `${rbac}/v1`, kind: "Role", metadata, rules });
  const subjects = [{ kind: "ServiceAccount", ...metadata }];
  const roleRef = { apiGroup: rbac, kind: "Role", name: "modest" };
  await people.apply({ apiVersion: `${rbac}/v1`, kind: "RoleBinding", metadata, roleRef, subjects });
  await untilAllowed("system:serviceaccount:shop:modest", "patch", "shop", "configmaps");
  await push({
    "fleet/small.yaml": application("small", "shop", { serviceAccount: "modest" }),
    "deploy/small/b.yaml": manifests.configMap("b", { level: "info" }),
    "deploy/small/c.yaml": manifests.service("c"),
    "fleet/stranger.yaml": application("stranger", "team", { serviceAccount: "nobody" }),
    "deploy/stranger/d.yaml": manifests.configMap("d", {}),
  });
  await world.until("both to be told", async () => {
    const [small, stranger] = [await running("small"), await running("stranger")];
    return small?.phase === "Failed" && stranger?.phase === "Failed";
  });
  expect((await running("small"))?.reason).toContain(
    'services "c" is forbidden: User "system:serviceaccount:shop:modest" cannot patch',
  );
  expect(await level("shop", "b")).toBe("info");
  expect((await running("stranger"))?.reason).toContain("cannot impersonate");
  expect(await people.get(configMap("team", "d"))).toBeUndefined();
});

test("what the cluster's own list does not hold stops the whole bundle before its first write, naming object and rule", async () => {
  await push({
    "fleet/greedy.yaml": application("greedy", "shop"),
    "deploy/greedy/a.yaml": manifests.configMap("greedy", {}),
    "deploy/greedy/role.yaml": manifests.yaml({
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRoleBinding",
      metadata: { name: "greedy" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
      subjects: [{ kind: "ServiceAccount", name: "modest", namespace: "shop" }],
    }),
  });
  await world.until("the refusal", async () => (await running("greedy"))?.phase === "Blocked");
  expect((await running("greedy"))?.reason).toContain(
    "ClusterRoleBinding greedy is of kind rbac.authorization.k8s.io/ClusterRoleBinding, which this cluster's agent does not allow",
  );
  expect(await people.get(configMap("shop", "greedy"))).toBeUndefined();
});
