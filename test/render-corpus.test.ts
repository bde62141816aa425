import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openFence } from "#hub/render/fence.ts";
import { manifestsOf, type Wanted } from "#hub/render/manifests.ts";
import { objectsOf } from "#hub/render/objects.ts";
import { createRenderer, type Renderer } from "#hub/render/renderer.ts";
import { openTools, toolVersions, type Tools } from "#hub/render/tools.ts";
import { canonicalBundle, openBundle } from "#proto/bundle.ts";
import { serverPath } from "#test/harness/servers.ts";

const run = promisify(execFile);
/** A copy, completed. */
let corpus: string;
const plain = { valuesFiles: [], values: {}, once: [], kubernetes: { version: "1.36.0", apis: [] } };

let tools: Tools;
let renderer: Renderer;
let home: string;
beforeAll(async () => {
  const fence = await openFence({ prlimit: "/usr/bin/prlimit", unshare: "/usr/bin/unshare" });
  tools = openTools(fence, { kustomize: serverPath("kustomize"), helm: serverPath("helm") });
  renderer = createRenderer(randomBytes(32), 1);
  home = await mkdtemp(join(tmpdir(), "plain-tools-"));
  corpus = join(home, "podinfo");
  await cp(new URL("corpus/podinfo", import.meta.url), corpus, { recursive: true });
  await addScripts();
});
afterAll(async () => {
  await renderer[Symbol.asyncDispose]();
  await rm(home, { recursive: true });
});

/** Scripts that some bases put into ConfigMaps are not in the corpus: any text does, as both sides read the same. */
async function addScripts(): Promise<void> {
  const bases = join(corpus, "deploy/bases");
  for (const base of await readdir(bases)) {
    const text = await readFile(join(bases, base, "kustomization.yaml"), "utf8");
    for (const [script] of text.matchAll(/scripts\/[\w.-]+/g)) {
      await mkdir(join(bases, base, "scripts"), { recursive: true });
      await writeFile(join(bases, base, script), `#!/bin/sh\necho ${base}\n`);
    }
  }
}

const filesUnder = async (folder: string) => {
  const found = await readdir(join(corpus, folder), { recursive: true, withFileTypes: true });
  const files = found.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return Promise.all(files.map(async (file) => ({ path: relative(corpus, file), bytes: await readFile(file) })));
};
const given = (folder: string, helm: Partial<Wanted["helm"]> = {}): Wanted => ({
  application: "pod",
  namespace: "shop",
  folder,
  filesUnder,
  fileAt: () => Promise.resolve(undefined),
  render: "auto",
  helm: { ...plain, ...helm },
  isFirst: true,
});

/** The canonical bytes of what we render, opened again from the sealed bundle. */
async function ours(wanted: Wanted): Promise<string> {
  const rendered = await renderer.render((await manifestsOf(tools, wanted)).target);
  if (!rendered.ok) throw new Error(rendered.because);
  return canonicalBundle(openBundle(rendered.slices, rendered)).toString("utf8");
}

/** The canonical bytes of what the tool gives when it is run by hand in the same folder. */
async function theirs(tool: "helm" | "kustomize", arguments_: readonly string[]): Promise<string> {
  const { stdout } = await run(serverPath(tool), [...arguments_], {
    cwd: corpus,
    env: { HOME: home },
    maxBuffer: 2 ** 25,
  });
  return canonicalBundle(objectsOf([{ path: "out", bytes: Buffer.from(stdout) }], "shop")).toString("utf8");
}

const template = [
  "template",
  "pod",
  "charts/podinfo",
  "-n",
  "shop",
  "--kube-version",
  "1.36.0",
  "--include-crds",
  "--skip-tests",
];

describe("podinfo comes out byte for byte as the tools give it", () => {
  test.each(["kustomize", "deploy/bases/backend", "deploy/overlays/dev", "deploy/overlays/production"])(
    "kustomize build %s",
    async (folder) => {
      expect(await ours(given(folder))).toBe(await theirs("kustomize", ["build", folder]));
    },
  );
  test.each<[string, Partial<Wanted["helm"]>, readonly string[]]>([
    ["as it is", {}, []],
    ["with a values file", { valuesFiles: ["values-prod.yaml"] }, ["-f", "charts/podinfo/values-prod.yaml"]],
    [
      "with values in place over a file",
      {
        valuesFiles: ["values-prod.yaml"],
        values: { replicaCount: 7, ingress: { enabled: true }, hooks: { postInstall: { job: { enabled: true } } } },
      },
      [
        "-f",
        "charts/podinfo/values-prod.yaml",
        "--set",
        "replicaCount=7,ingress.enabled=true,hooks.postInstall.job.enabled=true",
      ],
    ],
    [
      "with APIs that the environment declares",
      {
        values: { serviceMonitor: { enabled: true } },
        kubernetes: { version: "1.36.0", apis: ["monitoring.coreos.com/v1"] },
      },
      ["--set", "serviceMonitor.enabled=true", "--api-versions", "monitoring.coreos.com/v1"],
    ],
  ])("helm template %s", async (_name, helm, more) => {
    const rendered = await ours(given("charts/podinfo", helm));
    expect(rendered).toBe(await theirs("helm", [...template, ...more]));
    expect(rendered).not.toContain("test-success");
  });
  test("plain manifests", async () => {
    const render = "plain" as const;
    const folder = "deploy/webapp";
    const files = (await filesUnder(folder)).filter(
      ({ path }) => /\.ya?ml$/.test(path) && !path.includes("kustomization"),
    );
    const own = { ...given(folder), render, filesUnder: async () => files };
    expect(await ours(own)).toBe(canonicalBundle(objectsOf(files, "shop")).toString("utf8"));
  });
});

test("the versions that render are the ones that the set-up builds", async () => {
  const pins = JSON.parse(await readFile(new URL("../tools/servers.json", import.meta.url), "utf8")) as {
    name: string;
    version: string;
  }[];
  expect(pins.filter(({ name }) => name in toolVersions).map(({ name, version }) => [name, version])).toEqual(
    expect.arrayContaining(Object.entries(toolVersions)),
  );
});

describe("a chart", () => {
  const chart = (files: Readonly<Record<string, string>>, helm: Partial<Wanted["helm"]> = {}): Wanted => ({
    ...given("c", helm),
    filesUnder: async () =>
      Object.entries({ "Chart.yaml": "apiVersion: v2\nname: c\nversion: 1.0.0\n", ...files }).map(([path, text]) => ({
        path: `c/${path}`,
        bytes: Buffer.from(text),
      })),
  });
  const map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

  test("with random content is refused with the line to paste", async () => {
    const wanted = chart({ "templates/a.yaml": `${map}data: {x: {{ randAlphaNum 20 }}}` });
    await expect(ours(wanted)).rejects.toThrow("once: [{kind: ConfigMap, name: a}]");
  });
  test("whose dependency is not vendored is refused by its name, and rendered with it", async () => {
    const text =
      "apiVersion: v2\nname: c\nversion: 1.0.0\ndependencies: [{name: d, version: 1.0.0, repository: 'https://x.example'}]\n";
    await expect(ours(chart({ "Chart.yaml": text }))).rejects.toThrow(
      "c/Chart.yaml: dependencies[0]: d is not in c/charts: the hub fetches no dependency of a chart",
    );
    const vendored = {
      "Chart.yaml": text,
      "charts/d/Chart.yaml": "apiVersion: v2\nname: d\nversion: 1.0.0\n",
      "charts/d/templates/a.yaml": map,
    };
    expect(await ours(chart(vendored))).toContain('"name":"a"');
  });
  test("gets its CRDs, nothing from a lookup, nothing that .helmignore names, and keeps resource policies", async () => {
    const crd =
      "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: xs.example.dev}\nspec: {group: example.dev, scope: Cluster, names: {kind: X}}\n";
    const text = `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, annotations: {helm.sh/resource-policy: keep}}\ndata:\n  found: {{ len (lookup "v1" "Secret" "x" "y") | quote }}\n  ignored: {{ .Files.Get "ignored.txt" | quote }}\n`;
    const rendered = await ours(
      chart({ "crds/x.yaml": crd, "templates/a.yaml": text, ".helmignore": "ignored.txt", "ignored.txt": "seen" }),
    );
    expect(rendered).toContain("xs.example.dev");
    expect(rendered).toContain('"helm.sh/resource-policy":"keep"');
    expect(rendered).toContain('"found":"0","ignored":""');
    // Without a namespace, and with our own, as the tool's own `.Release.Namespace` gives it.
    expect(rendered).toContain('"namespace":"shop"');
  });
  test("that loops is ended, and one that gives bad YAML is refused by its template", async () => {
    await expect(ours(chart({ "templates/b.yaml": "kind: [\n" }))).rejects.toThrow(/templates\/b\.yaml/);
    const wanted = chart({ "templates/a.yaml": '{{ define "x" }}{{ include "x" . }}{{ end }}{{ include "x" . }}' });
    await expect(ours(wanted)).rejects.toThrow(/helm/);
  });
  test("names values files that are not in the commit, and Git's own names in Helm's complaint", async () => {
    await expect(ours(chart({}, { valuesFiles: ["prod.yaml"] }))).rejects.toThrow(
      "spec.source.helm.valuesFiles[0]: c/prod.yaml is not in this commit, or is no file",
    );
    const refusal = await ours(chart({ "templates/a.yaml": "{{ .Values.a.b.c }}" })).catch(String);
    expect(refusal).toContain("templates/a.yaml");
    expect(refusal).not.toContain(tmpdir());
  });
});
