import { execFile } from "node:child_process";
import { mkdir, mkdtempDisposable, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { application, cluster, configMap, environment, namespace, yaml } from "#test/harness/manifests.ts";
import { serverPath } from "#test/harness/servers.ts";
import { startProcess } from "#test/harness/process.ts";

const run = promisify(execFile);
const cli = new URL("../cli/main.ts", import.meta.url).pathname;

type Folder = AsyncDisposable & {
  readonly path: string;
  write(files: Readonly<Record<string, string>>): Promise<void>;
  git(...arguments_: string[]): Promise<string>;
  plumb(...arguments_: string[]): Promise<{ code: number | null; out: string; err: string }>;
};

/** Somebody's checkout of a fleet repository with one Application on one cluster, committed. */
async function openFolder(): Promise<Folder> {
  const made = await mkdtempDisposable(join(tmpdir(), "plumbline-offline-"));
  const { path } = made;
  const env = {
    PATH: process.env["PATH"],
    HOME: path,
    LANG: "C.UTF-8",
    GIT_CONFIG_GLOBAL: "/dev/null",
    PLUMBLINE_HELM: serverPath("helm"),
    PLUMBLINE_KUSTOMIZE: serverPath("kustomize"),
  };
  const git = async (...arguments_: string[]): Promise<string> =>
    (await run("git", ["-c", "user.name=dev1", "-c", "user.email=dev1@example.com", ...arguments_], { cwd: path, env }))
      .stdout;
  const folder: Folder = {
    path,
    git,
    async write(files) {
      for (const [name, text] of Object.entries(files)) {
        await mkdir(dirname(join(path, name)), { recursive: true });
        await writeFile(join(path, name), text);
      }
    },
    async plumb(...arguments_) {
      await using running = startProcess(process.execPath, [cli, ...arguments_], { env, cwd: path });
      let out = "";
      let err = "";
      running.child.stdout?.on("data", (chunk: Buffer) => (out += chunk.toString("utf8")));
      running.child.stderr?.on("data", (chunk: Buffer) => (err += chunk.toString("utf8")));
      await running.ended;
      return { code: running.child.exitCode, out, err };
    },
    [Symbol.asyncDispose]: () => made[Symbol.asyncDispose](),
  };
  await git("init", "--quiet", "--initial-branch=main");
  await folder.write({
    "fleet/dev.yaml": [environment("dev", { follow: "main" }), cluster("dev-1", { env: "dev" })].join("---\n"),
    "fleet/shop.yaml": application("shop", { path: "apps/shop", namespace: "shop", environments: ["dev"] }),
    "apps/shop/namespace.yaml": namespace("shop"),
    "apps/shop/settings.yaml": configMap("settings", { level: "info" }),
    "apps/shop/secret.yaml": secret("hush-1"),
  });
  await git("add", "-A");
  await git("commit", "--quiet", "-m", "first");
  return folder;
}

const secret = (password: string): string =>
  `apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: ${password}}\n`;

test("render gives the objects of the working tree, and of a revision", async () => {
  await using folder = await openFolder();
  await folder.write({ "apps/shop/settings.yaml": configMap("settings", { level: "debug" }) });
  const names = await folder.plumb("render", "shop", "--cluster", "dev-1", "-o", "name");
  expect(names).toMatchObject({ code: 0, out: "ConfigMap shop/settings\nNamespace shop\nSecret shop/db\n" });
  const working = await folder.plumb("render", "shop", "-o", "json");
  expect(JSON.parse(working.out)).toMatchObject({
    environment: "dev",
    cluster: "dev-1",
    revision: "working tree",
    objects: [{ data: { level: "debug" }, metadata: { namespace: "shop" } }, {}, {}],
  });
  const committed = await folder.plumb("render", "shop", "--revision", "HEAD");
  expect(committed.out).toContain("level: info");
  expect(await folder.plumb("render", "web")).toMatchObject({
    code: 2,
    err: expect.stringContaining("there is no Application web: there are shop") as string,
  });
  expect((await folder.plumb("render", "shop", "--revision", "nowhere")).code).toBe(2);
});

test("diff names object, field and both values, hides Secrets, and exits 3 when it is asked to", async () => {
  await using folder = await openFolder();
  const same = await folder.plumb("diff", "shop", "--revision", "HEAD", "--exit-code");
  expect(same).toMatchObject({ code: 0, out: "", err: expect.stringContaining("nothing differs") as string });
  await folder.write({
    "apps/shop/settings.yaml": configMap("settings", { level: "debug" }),
    "apps/shop/more.yaml": configMap("more", {}),
    "apps/shop/secret.yaml": secret("hush-2"),
  });
  const differs = await folder.plumb("diff", "shop", "--revision", "HEAD", "--exit-code");
  expect(differs.code).toBe(3);
  expect(differs.out).toBe(
    '+ ConfigMap shop/more\n    + data  {}\n~ ConfigMap shop/settings\n    data.level  "info" → "debug"\n~ Secret shop/db\n    data.password  (redacted) → (redacted, another value)\n',
  );
  expect(differs.out + differs.err).not.toContain(Buffer.from("hush-2").toString("base64"));
});

test("a chart in another folder of the checkout is rendered like any other; for one from elsewhere it is said what to do", async () => {
  await using folder = await openFolder();
  const template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {said: {{ .Values.said | quote }}}\n";
  const document = (kind: string, name: string, spec: object): string =>
    yaml({ apiVersion: "plumbline.dev/v1", kind, metadata: { name }, spec });
  const declared = (name: string, chart: object): string =>
    document("Application", name, {
      source: { path: "apps/web", helm: { chart, valuesFiles: ["values.yaml"] } },
      namespace: "shop",
      environments: ["dev"],
    });
  await folder.write({
    "fleet/web.yaml": declared("web", { path: "charts/web" }),
    "fleet/far.yaml": declared("far", { repository: "charts", name: "far", version: "1.2.3" }),
    "fleet/charts.yaml": document("Repository", "charts", { type: "helm", url: "https://charts.example" }),
    "charts/web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n",
    "charts/web/templates/a.yaml": template,
    "apps/web/values.yaml": "said: here\n",
  });
  expect(await folder.plumb("render", "web", "-o", "name")).toMatchObject({ code: 0, out: "ConfigMap shop/a\n" });
  await folder.git("add", "-A");
  await folder.git("commit", "--quiet", "-m", "charts");
  await folder.write({ "apps/web/values.yaml": "said: there\n" });
  const changed = await folder.plumb("diff", "web", "--revision", "HEAD");
  expect(changed.out).toBe('~ ConfigMap shop/a\n    data.said  "here" → "there"\n');
  const far = await folder.plumb("render", "far", "--hub", "http://127.0.0.1:1");
  expect([far.code, far.err]).toEqual([
    5,
    "plumb: the chart far 1.2.3 of charts lies elsewhere, and only the hub fetches it: the hub at http://127.0.0.1:1 does not answer\n       name the hub by --hub and yourself by --token-file, or its archive (helm pull) by --chart\n",
  ]);
  const valid = await folder.plumb("validate");
  expect([valid.code, valid.err]).toEqual([
    0,
    expect.stringContaining(
      "far is not rendered: its chart, far 1.2.3 of charts, lies elsewhere: plumb render far asks the hub for it, or takes a copy by --chart\n",
    ),
  ]);
  const wrong = await folder.plumb("render", "far", "--chart", "nothing.tgz");
  expect([wrong.code, wrong.err]).toEqual([
    2,
    expect.stringContaining("--chart: nothing.tgz is no file that can be read"),
  ]);
});

test("validate renders each Application, and says file and line as text, as JSON and as GitHub's annotations", async () => {
  await using folder = await openFolder();
  expect(await folder.plumb("validate")).toMatchObject({
    code: 0,
    out: "fleet is valid: 1 cluster, 1 environment, 1 application, 1 rendering\n",
  });
  await folder.write({
    "apps/shop/bad.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: [\n",
    "fleet/wrong.yaml": environment("staging", { follow: "main" }).replace("revisions", "revision"),
  });
  const text = await folder.plumb("validate");
  expect(text.code).toBe(3);
  expect(text.out).toMatch(/^fleet\/wrong\.yaml:\d+: spec.*\n/m);
  expect(text.out).toMatch(/^apps\/shop\/bad\.yaml:\d+: .*\(Application shop for dev, dev-1\)\n/m);
  const github = await folder.plumb("validate", "-o", "github");
  expect(github.out).toMatch(/^::error file=apps\/shop\/bad\.yaml,line=\d+,title=plumb validate::/m);
  const { problems } = JSON.parse((await folder.plumb("validate", "-o", "json")).out) as {
    problems: { file: string }[];
  };
  expect(problems.map(({ file }) => file)).toContain("apps/shop/bad.yaml");
  expect((await folder.plumb("validate", "--no-render")).out).not.toContain("apps/shop");
});

test("validate warns of what kubectl would take, and is probably a mistake; warnings alone are no failure", async () => {
  await using folder = await openFolder();
  const slip = "apiVersion: example.dev/v1\nkind: Widget\nmetadata: {name: a}\nspec:\n  country: no\n  zip: 01234\n";
  await folder.write({ "apps/shop/slip.yaml": slip });
  const text = await folder.plumb("validate");
  expect(text.code).toBe(0);
  expect(text.out).toBe(
    [
      'warning: apps/shop/slip.yaml:5: spec.country is no, which is read as false: write false, or "no" for the text (Application shop for dev, dev-1)',
      'warning: apps/shop/slip.yaml:6: spec.zip is 01234, which is read as the number 668: write that, or "01234" for the text (Application shop for dev, dev-1)',
      "fleet is valid: 1 cluster, 1 environment, 1 application, 1 rendering",
      "",
    ].join("\n"),
  );
  const { problems, warnings } = JSON.parse((await folder.plumb("validate", "-o", "json")).out) as Record<
    "problems" | "warnings",
    { file: string; line: number }[]
  >;
  expect([problems, warnings.map(({ file, line }) => `${file}:${line}`)]).toEqual([
    [],
    ["apps/shop/slip.yaml:5", "apps/shop/slip.yaml:6"],
  ]);
  expect((await folder.plumb("validate", "-o", "github")).out).toMatch(
    /^::warning file=apps\/shop\/slip\.yaml,line=5,title=plumb validate::spec\.country is no/,
  );
  expect((await folder.plumb("render", "shop", "-o", "name")).err).toContain("warning: apps/shop/slip.yaml:5: ");
});

test("validate warns of a namespace on what has none", async () => {
  await using folder = await openFolder();
  const role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a, namespace: shop}\n";
  await folder.write({ "apps/shop/role.yaml": role });
  expect((await folder.plumb("validate")).out).toContain(
    "warning: apps/shop/role.yaml:1: ClusterRole a names the namespace shop, and its kind has none: it is taken off (Application shop for dev, dev-1)",
  );
});

test("of what Kustomize reads, validate and render warn where it is written", async () => {
  await using folder = await openFolder();
  const document = (kind: string, name: string, spec: object): string =>
    yaml({ apiVersion: "plumbline.dev/v1", kind, metadata: { name }, spec });
  const widget = (spec: string): string =>
    `apiVersion: example.dev/v1\nkind: Widget\nmetadata: {name: a}\nspec: ${spec}\n`;
  await folder.write({
    "fleet/built.yaml": document("Application", "built", {
      source: { path: "overlays/dev" },
      namespace: "shop",
      environments: ["dev"],
    }),
    "base/kustomization.yaml": "resources: [widget.yaml, secret.yaml]\n",
    "base/widget.yaml": widget("{zip: 01234, country: no}"),
    "base/secret.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {pin: '0777'}\nother: 0777\n",
    "base/unused.yaml": widget("{zip: 01234}"),
    "overlays/dev/kustomization.yaml": "resources: [../../base]\npatches: [{path: patch.yaml}]\n",
    "overlays/dev/patch.yaml": widget("{version: 1.10}"),
  });
  const text = await folder.plumb("validate");
  const where = "(Application built for dev, dev-1)";
  expect([text.code, text.out.split("\n").slice(0, -2).sort()]).toEqual([
    0,
    [
      `warning: base/widget.yaml:4: spec.zip is 01234, which is read as the number 668: write that, or "01234" for the text ${where}`,
      `warning: overlays/dev/patch.yaml:4: spec.version is 1.10, which is read as the number 1.1: write that, or "1.10" for the text ${where}`,
    ],
  ]);
  const rendered = await folder.plumb("render", "built");
  // As Kustomize itself has it.
  expect(rendered.out).toMatch(/country: "no"\n {2}version: 1\.1\n {2}zip: 668\n/);
  expect(rendered.err).toContain("warning: base/widget.yaml:4: spec.zip");
});

test("a checkout is read as a commit of it would be: ignored files are not there, and links are not followed", async () => {
  await using folder = await openFolder();
  await folder.write({ ".gitignore": "ignored.yaml\n", "apps/shop/ignored.yaml": configMap("ignored", {}) });
  expect((await folder.plumb("render", "shop", "-o", "name")).out).not.toContain("ignored");
  await symlink("/etc/passwd", join(folder.path, "apps/shop/link.yaml"));
  const refused = await folder.plumb("render", "shop");
  expect(refused).toMatchObject({
    code: 1,
    err: expect.stringContaining("apps/shop/link.yaml is a symbolic link") as string,
  });
  await symlink("/etc", join(folder.path, "fleet/etc"));
  expect((await folder.plumb("validate", "--no-render")).out).toContain("fleet/etc is a symbolic link");
});
