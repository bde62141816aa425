import { execFile } from "node:child_process";
import { mkdir, mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, expect, test } from "vitest";
import { openFence } from "#hub/render/fence.ts";
import { perTemplate } from "#hub/render/helm-output.ts";
import type { HelmInputs } from "#hub/render/helm.ts";
import { manifestsOf } from "#hub/render/manifests.ts";
import { objectsOf } from "#hub/render/objects.ts";
import { openTools, type Tools } from "#hub/render/tools.ts";
import { canonicalBundle } from "#proto/bundle.ts";
import { serverPath } from "#test/harness/servers.ts";

const run = promisify(execFile);
let tools: Tools;
beforeAll(async () => {
  const fence = await openFence({ prlimit: "/usr/bin/prlimit", unshare: "/usr/bin/unshare" });
  tools = openTools(fence, { kustomize: serverPath("kustomize"), helm: serverPath("helm") });
});

const chartYaml = (name: string, more = ""): string => `apiVersion: v2\nname: ${name}\nversion: 1.0.0\n${more}`;
const map = (name: string, data = "{}"): string =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}}\ndata: ${data}\n`;
const dependencies = `dependencies:\n- {name: db, version: 1.0.0, condition: db.enabled}\n- {name: cache, version: 1.0.0, condition: cache.enabled}\n- {name: extra, version: 1.0.0, tags: [extras]}\n`;
const subchart = (name: string) => ({
  [`charts/${name}/Chart.yaml`]: chartYaml(name),
  [`charts/${name}/values.yaml`]: "enabled: true\n",
  [`charts/${name}/templates/a.yaml`]: map(name, `{from: {{ .Values.from | default "own" | quote }}}`),
});

type Given = { files: Record<string, string>; helm?: Partial<HelmInputs>; arguments?: string[] };

/** Names and canonical bytes of what we make of a chart, and of what the tool gives by hand. */
async function both({ files, helm = {}, arguments: more = [] }: Given) {
  const all = { "Chart.yaml": chartYaml("web"), ...files };
  const { target } = await manifestsOf(tools, {
    application: "rel",
    namespace: "shop",
    folder: "c",
    filesUnder: () =>
      Promise.resolve(Object.entries(all).map(([path, text]) => ({ path: `c/${path}`, bytes: Buffer.from(text) }))),
    fileAt: () => Promise.resolve(undefined),
    render: "auto",
    helm: { values: {}, valuesFiles: [], once: [], kubernetes: { version: "1.36.0", apis: [] }, ...helm },
    isFirst: true,
  });
  const ours = objectsOf(target.files.flatMap(perTemplate), "shop");
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-helm-"));
  for (const [path, text] of Object.entries(all)) {
    await mkdir(dirname(join(folder.path, "c", path)), { recursive: true });
    await writeFile(join(folder.path, "c", path), text);
  }
  const plain = ["template", "rel", "c", "-n", "shop", "--include-crds", "--skip-tests"];
  const version = more.some((argument) => argument.startsWith("--kube-version")) ? [] : ["--kube-version=1.36.0"];
  const { stdout } = await run(serverPath("helm"), [...plain, ...version, ...more], {
    cwd: folder.path,
    env: { HOME: folder.path },
  });
  const theirs = objectsOf([{ path: "out", bytes: Buffer.from(stdout) }], "shop");
  return {
    same: canonicalBundle(ours).equals(canonicalBundle(theirs)),
    names: ours.map(({ metadata }) => metadata.name).sort(),
    text: canonicalBundle(ours).toString("utf8"),
  };
}

const crd =
  "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: xs.example.dev}\nspec: {group: example.dev, scope: Cluster, names: {kind: X}}\n";

test.each<[string, Given, string[], RegExp?]>([
  [
    "the Kubernetes version that the environment declares",
    {
      files: { "templates/a.yaml": map("a", "{v: {{ .Capabilities.KubeVersion.Version | quote }}}") },
      helm: { kubernetes: { version: "1.29.3", apis: [] } },
      arguments: ["--kube-version=1.29.3"],
    },
    ["a"],
    /v1\.29\.3/,
  ],
  [
    "the APIs that the environment declares",
    {
      files: {
        "templates/a.yaml": `{{ if .Capabilities.APIVersions.Has "example.dev/v1/X" }}${map("has")}{{ else }}${map("has-not")}{{ end }}`,
      },
      helm: { kubernetes: { version: "1.36.0", apis: ["example.dev/v1/X"] } },
      arguments: ["--api-versions=example.dev/v1/X"],
    },
    ["has"],
  ],
  [
    "conditions and tags of subcharts, and values for them",
    {
      files: {
        "Chart.yaml": chartYaml("web", dependencies),
        ...subchart("db"),
        ...subchart("cache"),
        ...subchart("extra"),
        "values.yaml": "cache: {enabled: true}\n",
      },
      helm: { values: { db: { enabled: false }, tags: { extras: false }, cache: { from: "the parent" } } },
      arguments: ["--set=db.enabled=false,tags.extras=false,cache.from=the parent"],
    },
    ["cache"],
    /the parent/,
  ],
  [
    "library charts, which give templates and no objects",
    {
      files: {
        "Chart.yaml": chartYaml("web", "dependencies: [{name: lib, version: 1.0.0}]\n"),
        "charts/lib/Chart.yaml": chartYaml("lib", "type: library\n"),
        "charts/lib/templates/_map.yaml": `{{- define "lib.map" }}${map("from-library")}{{ end -}}`,
        "charts/lib/templates/own.yaml": map("never"),
        "templates/a.yaml": '{{ include "lib.map" . }}',
      },
    },
    ["from-library"],
  ],
  [
    ".helmignore, for templates and for files",
    {
      files: {
        ".helmignore": "templates/ignored.yaml\nsecret.txt\n",
        "secret.txt": "seen",
        "templates/ignored.yaml": map("ignored"),
        "templates/a.yaml": map("a", '{file: {{ .Files.Get "secret.txt" | quote }}}'),
      },
    },
    ["a"],
    /"file":""/,
  ],
  [
    "crds/, of the chart and of its subcharts",
    {
      files: {
        "Chart.yaml": chartYaml("web", "dependencies: [{name: db, version: 1.0.0}]\n"),
        ...subchart("db"),
        "crds/x.yaml": crd,
        "charts/db/crds/y.yaml": crd.replace("xs.", "ys."),
      },
    },
    ["db", "xs.example.dev", "ys.example.dev"],
  ],
  [
    "no tests, also those of subcharts",
    {
      files: {
        "templates/a.yaml": map("a"),
        "templates/tests/t.yaml":
          "apiVersion: v1\nkind: Pod\nmetadata: {name: t, annotations: {helm.sh/hook: test}}\nspec: {containers: []}\n",
      },
    },
    ["a"],
  ],
  [
    "nothing from lookup",
    {
      files: { "templates/a.yaml": map("a", '{found: {{ lookup "v1" "Namespace" "" "kube-system" | len | quote }}}') },
    },
    ["a"],
    /"found":"0"/,
  ],
  [
    "values files in order, values over them, and null that takes a key away",
    {
      files: {
        "values.yaml": "a: chart\nb: chart\nc: chart\ngone: chart\n",
        "one.yaml": "b: one\nc: one\n",
        "two.yaml": "c: two\n",
        "templates/a.yaml": map("a", "{{ .Values | toJson }}"),
      },
      helm: { valuesFiles: ["one.yaml", "two.yaml"], values: { d: "inline", gone: null } },
      arguments: ["-f", "c/one.yaml", "-f", "c/two.yaml", "--set=d=inline,gone=null"],
    },
    ["a"],
    /"a":"chart","b":"one","c":"two","d":"inline"\}/,
  ],
])("a chart gets %s, as helm template gives it", async (_name, given, names, text = /./) => {
  const rendered = await both(given);
  expect(rendered.names).toEqual(names);
  expect(rendered.text).toMatch(text);
  expect(rendered.same).toBe(true);
});
