import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { kubeconfigAccess } from "#agent/cluster/access.ts";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { openKubernetes } from "#agent/cluster/kubernetes.ts";
import { objectsOf, type ManifestFile } from "#hub/render/objects.ts";
import { canonicalBundle, digestOf } from "#proto/bundle.ts";
import { systemClock } from "#lib/clock.ts";
import { clusterId } from "#proto/ids.ts";
import type { KubeObject } from "#proto/object.ts";
import { Documents } from "#test/harness/documents.ts";
import { serverPath } from "#test/harness/servers.ts";
import { openSharedControlPlane, type SharedControlPlane } from "#test/harness/shared-control-plane.ts";
import { startAgent } from "#test/health/agent.ts";

const run = promisify(execFile);
const corpus = fileURLToPath(new URL("corpus/", import.meta.url));
const digest = (files: readonly ManifestFile[]): string => digestOf(canonicalBundle(objectsOf(files, "shop")));

async function folder(path: string): Promise<ManifestFile[]> {
  const names = (await readdir(join(corpus, path))).filter(
    (name) => /\.ya?ml$/.test(name) && name !== "kustomization.yaml",
  );
  return Promise.all(names.map(async (name) => ({ path: name, bytes: await readFile(join(corpus, path, name)) })));
}
async function output(tool: "helm" | "kustomize", ...arguments_: string[]): Promise<ManifestFile[]> {
  const { stdout } = await run(serverPath(tool), arguments_, {
    cwd: corpus,
    env: { HOME: corpus },
    maxBuffer: 2 ** 25,
  });
  return [{ path: tool, bytes: Buffer.from(stdout) }];
}

const pieces: Record<string, () => Promise<ManifestFile[]>> = {
  "podinfo/deploy/webapp/backend": () => folder("podinfo/deploy/webapp/backend"),
  "podinfo/deploy/webapp/frontend": () => folder("podinfo/deploy/webapp/frontend"),
  "podinfo/kustomize as files": () => folder("podinfo/kustomize"),
  "podinfo/kustomize": () => output("kustomize", "build", "podinfo/kustomize"),
  "podinfo/charts/podinfo": () =>
    output("helm", "template", "pod", "podinfo/charts/podinfo", "--kube-version", "1.36.0", "--skip-tests"),
};

// Golden: a change of one of these would make every agent of every fleet write every object again.
test("the corpus gives the digests that earlier releases gave", async () => {
  const golden = JSON.parse(await readFile(join(corpus, "digests.json"), "utf8")) as Record<string, string>;
  const now = Object.fromEntries(
    await Promise.all(Object.entries(pieces).map(async ([name, files]) => [name, digest(await files())])),
  );
  expect(now).toEqual(golden);
});

let plane: SharedControlPlane;
let people: Cluster;
beforeAll(async () => {
  plane = await openSharedControlPlane();
  people = openKubernetes(await kubeconfigAccess(await plane.kubeconfig("canonical-people", ["system:masters"])), {
    manager: "kubectl-edit",
  });
});
afterAll(async () => {
  await people?.[Symbol.asyncDispose]();
  await plane?.[Symbol.asyncDispose]();
});

const int64 = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: counters.canonical.example.dev}
spec:
  group: canonical.example.dev
  scope: Cluster
  names: {kind: Counter, plural: counters, singular: counter, listKind: CounterList}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec: {type: object, properties: {count: {type: integer, format: int64}, least: {type: integer, format: int64}}}
---
apiVersion: canonical.example.dev/v1
kind: Counter
metadata: {name: exact}
spec: {count: 9007199254740993, least: -9223372036854775808}
`;

test("an int64 of a manifest reaches the API server exactly, stays quiet there, and one off is drift", async () => {
  const cluster = openKubernetes(await kubeconfigAccess(await plane.kubeconfig("canonical-agent", ["system:masters"])));
  const namespace = "plumbline-canonical";
  await people.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } });
  const documents = new Documents(clusterId("canonical-1"));
  await using agent = await startAgent(cluster, documents, systemClock, namespace);
  const objects = objectsOf([{ path: "counter.yaml", bytes: Buffer.from(int64) }], "shop");
  agent.engine.take(documents.sign(documents.run("counters", objects)), "");
  const ref = {
    apiVersion: "canonical.example.dev/v1",
    group: "canonical.example.dev",
    kind: "Counter",
    namespace: "",
    name: "exact",
  };
  const seen = async (): Promise<KubeObject | undefined> => people.get(ref).catch(() => undefined);
  await expect
    .poll(async () => (await seen())?.["spec"], { timeout: 30_000 })
    .toEqual({
      count: 9_007_199_254_740_993n,
      least: -9_223_372_036_854_775_808n,
    });
  await agent.engine.settled();
  // kubectl's own words of the number, which it keeps as int64.
  const shown = await run(serverPath("kubectl"), [
    `--kubeconfig=${await plane.kubeconfig("canonical-people", ["system:masters"])}`,
    "get",
    "counter",
    "exact",
    "-o",
    "jsonpath={.spec.count}",
  ]);
  expect(shown.stdout).toBe("9007199254740993");

  const before = (await seen())!;
  await people.replace({
    ...before,
    spec: { count: 9_007_199_254_740_992n, least: -9_223_372_036_854_775_808n },
  });
  await expect
    .poll(async () => (await seen())?.["spec"], { timeout: 30_000 })
    .toMatchObject({ count: 9_007_199_254_740_993n });
  await agent.engine.settled();
  // A value that was read less exactly than it was written would be healed again at every event.
  const noted = (await seen())!;
  await people.replace({ ...noted, metadata: { ...noted.metadata, annotations: { note: "mine" } } });
  await agent.engine.settled();
  const requests = await plane.requests();
  const writes = requests.filter(
    ({ user, verb, resource }) => user === "canonical-agent" && verb === "patch" && resource === "counters",
  );
  expect(writes).toHaveLength(2);
  await people.delete({ ...ref }, { uid: noted.metadata.uid! });
});
