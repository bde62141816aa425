import { mkdtemp, rm, writeFile, chmod } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { openFence, type Fence } from "#hub/render/fence.ts";
import { buildKustomization } from "#hub/render/kustomize.ts";
import { openTools, type Tools } from "#hub/render/tools.ts";
import { serverPath } from "#test/harness/servers.ts";

let fence: Fence;
let tools: Tools;
beforeAll(async () => {
  fence = await openFence({ prlimit: "/usr/bin/prlimit", unshare: "/usr/bin/unshare" });
  tools = openTools(fence, { kustomize: serverPath("kustomize"), helm: serverPath("helm") });
});

const commit = (files: Readonly<Record<string, string>>) => async (folder: string) =>
  Object.entries(files)
    .filter(([path]) => folder === "" || path.startsWith(`${folder}/`))
    .map(([path, text]) => ({ path, bytes: Buffer.from(text) }));
const build = async (folder: string, files: Readonly<Record<string, string>>, with_ = tools): Promise<string> =>
  Buffer.from((await buildKustomization(with_, folder, commit(files))).files[0]!.bytes).toString("utf8");

const map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

test("builds an overlay with what it names elsewhere in the commit: bases, components, patches, generators", async () => {
  const built = await build("apps/web/overlays/prod", {
    "apps/web/base/kustomization.yaml": "resources: [map.yaml]",
    "apps/web/base/map.yaml": map,
    "shared/label/kustomization.yaml":
      "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nlabels: [{pairs: {team: web}}]",
    "apps/web/overlays/prod/kustomization.yaml":
      "resources: [../../base]\ncomponents: [../../../../shared/label]\npatches:\n- path: p.yaml\nconfigMapGenerator:\n- name: g\n  files: [key=conf/x.txt]",
    "apps/web/overlays/prod/p.yaml": `${map}data: {patched: "yes"}\n`,
    "apps/web/overlays/prod/conf/x.txt": "text",
  });
  expect(built).toContain("team: web");
  expect(built).toContain('patched: "yes"');
  expect(built).toContain("key: text");
});

test("builds replacements, in place and from a file", async () => {
  const built = await build("k", {
    "k/kustomization.yaml":
      "resources: [map.yaml, other.yaml]\nreplacements:\n- path: r.yaml\n- source: {kind: ConfigMap, name: a, fieldPath: data.x}\n  targets: [{select: {name: b}, fieldPaths: [data.y]}]",
    "k/map.yaml": `${map}data: {x: taken}\n`,
    "k/other.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\ndata: {y: old, z: old}\n",
    "k/r.yaml":
      "source: {kind: ConfigMap, name: a, fieldPath: metadata.name}\ntargets: [{select: {name: b}, fieldPaths: [data.z]}]",
  });
  expect(built).toContain('"y": taken');
  expect(built).toContain("z: a\n");
});

test("reads a base that holds the overlay itself", async () => {
  const files = {
    "web/kustomization.yaml": "resources: [map.yaml]",
    "web/map.yaml": map,
    "web/prod/kustomization.yaml": "resources: [..]\nnameSuffix: -x",
  };
  // kustomize's own rule: a base may not hold what is built on it. It says so itself.
  await expect(build("web/prod", files)).rejects.toThrow(/cycle detected/);
});

describe("refuses before anything runs, naming file and field", () => {
  test.each([
    ["https://github.com/a/b//c?ref=v1", /^k\/kustomization\.yaml: resources\[0\]: .* is remote: .*copy it/],
    ["github.com/a/b/c", /is remote/],
    ["git@git.example:a/b", /is remote/],
    ["git::https://git.example/a", /is remote/],
    ["https://user:canary@git.example/a.yaml", /^(?!.*canary).*is remote/],
    ["ssh://git@git.example/a", /is remote/],
    ["../../outside", /leads out of the repository/],
    ["/etc/passwd", /is an absolute path/],
    ["../elsewhere/x.yaml", /lies outside k: kustomize reads single files only in or below/],
    ["../missing", /resources\[0\]: \.\.\/missing is not in this commit/],
    ["missing.yaml", /is not in this commit/],
  ])("resources: %s", async (resource, message) => {
    const files = { "k/kustomization.yaml": `resources: ["${resource}"]`, "elsewhere/x.yaml": map };
    await expect(build("k", files)).rejects.toThrow(message);
  });

  test.each([
    ["patches: [{path: 'https://x.example/p.yaml'}]", /patches\[0\]\.path: .* is remote/],
    ["patches: [{path: ../secret.yaml}]", /patches\[0\]\.path: \.\.\/secret\.yaml lies outside k/],
    [
      "configMapGenerator: [{name: a, files: ['k=../secret.yaml']}]",
      /configMapGenerator\[0\]\.files\[0\]: .*lies outside/,
    ],
    [
      "configMapGenerator: [{name: a, files: ['https://x.example/a']}]",
      /configMapGenerator\[0\]\.files\[0\]: .*is remote/,
    ],
    ["openapi: {path: ../secret.yaml}", /openapi\.path: /],
    ["crds: ['http://x.example/crd.json']", /crds\[0\]: .*is remote/],
    ["helmCharts: [{name: a, repo: 'https://x.example'}]", /helmCharts: kustomize runs no Helm here/],
    ["a: 1\n---\nb: 1", /kustomization\.yaml:2: a kustomization is one document/],
    ["a: [", /kustomization\.yaml:1: /],
  ])("%s", async (text, message) => {
    await expect(build("k", { "k/kustomization.yaml": text, "secret.yaml": map })).rejects.toThrow(message);
  });

  test("also in a base of a base", async () => {
    const files = {
      "a/kustomization.yaml": "resources: [../b]",
      "b/kustomization.yaml": "bases: [../c]",
      "c/kustomization.yaml": "components: ['https://git.example/x']",
    };
    await expect(build("a", files)).rejects.toThrow(
      "c/kustomization.yaml: components[0]: https://git.example/x is remote",
    );
  });
});

test("G10 tells paths apart that differ in the case of their letters alone", async () => {
  const built = await build("k", {
    "k/kustomization.yaml": "resources: [A.yaml, a.yaml]",
    "k/A.yaml": map.replace("name: a", "name: upper"),
    "k/a.yaml": map.replace("name: a", "name: lower"),
  });
  expect(built).toMatch(/name: upper[^]*name: lower|name: lower[^]*name: upper/);
});

test("takes the name of a folder for nothing but a folder", async () => {
  for (const folder of ["--enable-helm", "-o=written", "-h"])
    expect(
      await build(folder, { [`${folder}/kustomization.yaml`]: "resources: [map.yaml]", [`${folder}/map.yaml`]: map }),
    ).toBe("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n");
});

describe("does not run", () => {
  test.each([
    ["an exec function", { "config.kubernetes.io/function": "exec: {path: /bin/true}" }],
    ["a container function", { "config.kubernetes.io/function": "container: {image: example/x}" }],
  ])("%s", async (_name, annotations) => {
    const text = `apiVersion: example.dev/v1\nkind: Any\nmetadata: {name: a, annotations: ${JSON.stringify(annotations)}}\n`;
    const files = { "k/kustomization.yaml": "generators: [g.yaml]", "k/g.yaml": text };
    await expect(build("k", files)).rejects.toThrow(/external plugins disabled|must set|plugins/i);
  });
  test("Helm, when it is asked by a generator's own file", async () => {
    const text =
      "apiVersion: builtin\nkind: HelmChartInflationGenerator\nmetadata: {name: a}\nname: a\nrepo: https://x.example\n";
    const files = { "k/kustomization.yaml": "generators: [g.yaml]", "k/g.yaml": text };
    await expect(build("k", files)).rejects.toThrow(/must specify --enable-helm/);
  });
});

test("says kustomize's own complaint by the names in Git", async () => {
  const complaint = await build("k", {
    "k/kustomization.yaml": "resources: [a.yaml]\npatches: [{patch: 'x: [', target: {kind: Y}}]",
    "k/a.yaml": map,
  }).catch(String);
  expect(complaint).toMatch(/kustomize: .*patch/);
  expect(complaint).not.toContain(tmpdir());
});

describe("a hub without the right binary", () => {
  const one = { "k/kustomization.yaml": "resources: [a.yaml]", "k/a.yaml": map };
  test("says which one is missing and how to get it", async () => {
    const without = openTools(fence, { kustomize: "/nonexistent/kustomize", helm: "/nonexistent/helm" });
    await expect(build("k", one, without)).rejects.toThrow(
      /^this needs kustomize 5\.8\.1, which the hub has not: install it from https:.*PLUMBLINE_KUSTOMIZE.*tools\/setup\.js kustomize/,
    );
  });
  test("says that another version would not do", async () => {
    const folder = await mkdtemp(join(tmpdir(), "other-kustomize-"));
    const old = join(folder, "kustomize");
    await writeFile(old, "#!/bin/sh\necho v4.5.7\n");
    await chmod(old, 0o755);
    const tools = openTools(fence, { kustomize: old, helm: old });
    await expect(build("k", one, tools)).rejects.toThrow("this needs kustomize 5.8.1, and the hub has 4.5.7");
    await rm(folder, { recursive: true });
  });
});
