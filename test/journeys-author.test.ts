import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { recordBranch } from "#hub/loop/records.ts";
import type { RenderedAnswer } from "#proto/api.ts";
import { packChart } from "#test/harness/chart-archive.ts";
import { indexOf, startHelmRepository } from "#test/harness/chart-servers.ts";
import { application, configMap, deployment, environment, namespace, yaml } from "#test/harness/manifests.ts";
import { openSharedControlPlane, type SharedControlPlane } from "#test/harness/shared-control-plane.ts";
import { startWorld, type Ran, type World } from "#test/harness/world.ts";

// A hub, and an agent on a real API server; the author has a clone of the fleet repository and the command line.
const run = promisify(execFile);
const [running, next] = ["hush-4711", "hush-4712"];
const encoded = (text: string): string => Buffer.from(text).toString("base64");

let plane: SharedControlPlane;
let world: World;
let checkout: string;
let first: string;
let cloned: string;

const secret = (password: string): string =>
  `apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: ${password}, user: shop}\n`;
const conf = (timeout: number): string => `log = info\nworkers = 4\ntimeout = ${timeout}\ncolour = blue\n`;

beforeAll(async () => {
  plane = await openSharedControlPlane();
  world = await startWorld({ renderers: true });
  await world.startHub();
  first = await world.git.commit(
    "fleet",
    "main",
    {
      "fleet/dev.yaml": environment("dev", { follow: "main" }),
      "fleet/shop.yaml": application("shop", { path: "apps/shop", namespace: "author-shop", environments: ["dev"] }),
      "apps/shop/namespace.yaml": namespace("author-shop"),
      "apps/shop/web.yaml": deployment("web", "registry.example/web:1"),
      "apps/shop/settings.yaml": configMap("settings", { level: "info", "app.conf": conf(3) }),
      "apps/shop/secret.yaml": secret(running),
    },
    "the shop",
  );
  const answer = await world.register("author-1", { env: "dev" });
  await world.join(
    "author-1",
    answer,
    await plane.kubeconfig("author-agent", ["system:masters"]),
    "--namespace",
    "author-agent",
  );
  await world.until("the shop to be applied", async () =>
    (await world.status()).rows.some(({ revisions }) => revisions.length === 1),
  );
  checkout = join(world.folder, "checkout");
  await git("clone", "--quiet", world.fleetUrl, checkout);
  cloned = await world.git.git("fleet", ["rev-parse", "main"]);
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await plane?.[Symbol.asyncDispose]();
});

/** As it was cloned. */
const clean = async (): Promise<void> => {
  await git("-C", checkout, "reset", "--quiet", "--hard", cloned);
  await git("-C", checkout, "clean", "--quiet", "--force", "-d");
};
beforeEach(clean);

const git = (...arguments_: string[]): Promise<unknown> =>
  run("git", arguments_, { env: { PATH: process.env["PATH"], HOME: world.folder, GIT_CONFIG_NOSYSTEM: "1" } });

async function write(files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(checkout, name)), { recursive: true });
    await writeFile(join(checkout, name), text);
  }
}

/** As the author types it in the checkout; no answer of it ever holds what is secret. */
async function plumb(...arguments_: string[]): Promise<Ran> {
  const ran = await world.plumb(...arguments_, `--fleet=${join(checkout, "fleet")}`);
  for (const word of [running, next, encoded(running), encoded(next)])
    expect(ran.stdout + ran.stderr).not.toContain(word);
  return ran;
}
const diff = (...more: string[]): Promise<Ran> => plumb("diff", "shop", "--cluster", "author-1", ...more);

test("a checkout of what runs differs in nothing, and is what the hub renders", async () => {
  expect(await diff("--exit-code")).toEqual({ code: 0, stdout: "", stderr: "shop on author-1: nothing differs\n" });
  const hub = await plumb("render", "shop", "--cluster", "author-1", "--from-hub", "-o", "json");
  const here = await world.plumb("render", "shop", `--fleet=${join(checkout, "fleet")}`, "-o", "json");
  const [theirs, ours] = [hub, here].map(({ stdout }) => JSON.parse(stdout) as RenderedAnswer);
  expect(theirs).toMatchObject({ application: "shop", environment: "dev", cluster: "author-1", digest: ours!.digest });
  expect(theirs!.objects.map((object) => (object as { kind: string }).kind)).toEqual([
    "ConfigMap",
    "Namespace",
    "Secret",
    "Deployment",
  ]);
  // The commit that registered the cluster may run by now; either holds the same.
  expect(theirs!.revision).toMatch(/^[0-9a-f]{40}$/);
  expect(hub.stderr).toMatch(/^shop for author-1 \(dev\) at \w{7}: 4 objects by plain \(.*\), digest \w{12}\n$/);
});

test("an edit is told by object, field and both values, before anybody pushes it", async () => {
  await write({
    "apps/shop/web.yaml": deployment("web", "registry.example/web:2", 5),
    "apps/shop/settings.yaml": configMap("settings", { "app.conf": conf(5), theme: "dark" }),
    "apps/shop/more.yaml": configMap("more", { a: "1" }),
    "apps/shop/secret.yaml": secret(next),
  });
  const told = await diff("--exit-code");
  expect(told.stdout).toBe(
    [
      "+ ConfigMap author-shop/more",
      '    + data.a  "1"',
      "~ ConfigMap author-shop/settings",
      '    data["app.conf"]  line 3',
      "      - timeout = 3",
      "      + timeout = 5",
      '    - data.level  "info"',
      '    + data.theme  "dark"',
      "~ Deployment author-shop/web",
      "    spec.replicas  2 → 5",
      '    spec.template.spec.containers[name=web].image  "registry.example/web:1" → "registry.example/web:2"',
      "",
    ].join("\n"),
  );
  expect(told.stderr).toMatch(
    /^shop on author-1: 3 objects differ between \w{7}, which runs, and the working tree\nthe values of Secrets, which the hub does not show, may differ too\nplumb: something differs\n$/,
  );
  expect(told.code).toBe(3);
  // Without the flag, to have found something is no failure.
  expect((await diff()).code).toBe(0);
  expect(await diff("-o", "name")).toMatchObject({
    stdout: "ConfigMap author-shop/more\nConfigMap author-shop/settings\nDeployment author-shop/web\n",
  });
  const data = JSON.parse((await diff("-o", "json")).stdout) as object;
  expect(data).toMatchObject({
    application: "shop",
    cluster: "author-1",
    to: "working tree",
    isDifferent: true,
    changes: [
      { object: "ConfigMap author-shop/more", kind: "added", fields: [{ path: "data.a", before: null, after: '"1"' }] },
      { object: "ConfigMap author-shop/settings", kind: "changed" },
      {
        object: "Deployment author-shop/web",
        kind: "changed",
        fields: [{ path: "spec.replicas", before: "2", after: "5" }, {}],
      },
    ],
  });
});

test("where only the value of a Secret differs, that is said, and the value is not", async () => {
  await write({ "apps/shop/secret.yaml": secret(next) });
  expect(await diff("--exit-code")).toMatchObject({
    code: 3,
    stdout: "",
    stderr: expect.stringContaining("only the values of Secrets differ, which the hub does not show") as string,
  });
  await write({ "apps/shop/secret.yaml": secret(running).replace("user: shop", "login: shop") });
  expect((await diff()).stdout).toBe(
    "~ Secret author-shop/db\n    - data.user  (redacted)\n    + data.login  (redacted)\n",
  );
});

test("against another revision of the checkout no hub is asked", async () => {
  await write({ "apps/shop/web.yaml": deployment("web", "registry.example/web:2") });
  const told = await diff("--revision", first, "--hub", "http://127.0.0.1:2", "--exit-code");
  expect(told).toMatchObject({
    code: 3,
    stdout:
      '~ Deployment author-shop/web\n    spec.template.spec.containers[name=web].image  "registry.example/web:1" → "registry.example/web:2"\n',
    stderr: expect.stringContaining(`between ${first.slice(0, 7)} and the working tree`) as string,
  });
  await clean();
  expect(await diff("--revision", "HEAD", "--exit-code")).toMatchObject({ code: 0, stdout: "" });
  // The hub renders any commit that it has, whatever runs.
  const asked = await plumb("render", "shop", "--cluster", "author-1", "--from-hub", "--revision", first.slice(0, 9));
  expect(asked.stdout).toContain("image: registry.example/web:1\n");
  expect(asked.stdout).toContain("password: (redacted)\n");
});

test.each([
  [["diff", "shopp"], 2, "there is no Application shopp: there are shop"],
  [["diff", "shop", "--cluster", "eu-9"], 2, "shop is delivered to author-1 (dev), and not to what is named"],
  [["diff", "shop", "--revision", "nowhere"], 2, "nowhere is no revision of"],
  [["diff", "shop", "--hub", "http://127.0.0.1:2"], 5, "does not answer (ECONNREFUSED)"],
  [["render", "shopp", "--cluster", "author-1", "--from-hub"], 1, "there is no application shopp"],
  [["render", "shop", "--cluster", "eu-9", "--from-hub"], 1, "there is no cluster eu-9"],
  [
    ["render", "shop", "--cluster", "author-1", "--environment", "prod", "--from-hub"],
    1,
    "shop is not delivered to author-1 by prod",
  ],
  [
    ["render", "shop", "--cluster", "author-1", "--revision", "ffffffff", "--from-hub"],
    1,
    "ffffffff is no revision of shop's repository",
  ],
])("plumb %j exits with %i and says what is wrong", async (words, code, because) => {
  const ran = await plumb(...words);
  expect([ran.code, ran.stdout]).toEqual([code, ""]);
  expect(ran.stderr).toContain(`plumb: `);
  expect(ran.stderr).toContain(because);
});

test("what does not render is a failure, never a difference; a stranger without a token is told nothing", async () => {
  await write({ "apps/shop/web.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: [\n" });
  const here = await diff("--exit-code");
  expect([here.code, here.stdout]).toEqual([1, ""]);
  expect(here.stderr).toMatch(/shop does not render for author-1: apps\/shop\/web\.yaml:\d+: /);
  await clean();
  const bad = await world.git.commit("fleet", "main", { "apps/shop/web.yaml": "kind: [\n" }, "a mistake");
  await world.until("the mistake to be read", async () => (await world.status()).fleetCommit === bad);
  const there = await plumb("render", "shop", "--cluster", "author-1", "--from-hub", "--revision", bad);
  expect([there.code, there.stdout]).toEqual([1, ""]);
  expect(there.stderr).toMatch(/apps\/shop\/web\.yaml:\d+: /);
  // What ran before goes on, and is what the checkout is held against.
  expect((await diff("--exit-code")).code).toBe(0);
  const token = join(world.folder, "no-token");
  await writeFile(token, "plt_guess");
  expect(await diff("--token-file", token)).toMatchObject({ code: 4, stdout: "" });
});

test("a chart that lies in a Helm repository is fetched by the hub, for authors too", async () => {
  await using helm = await startHelmRepository();
  const template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {said: {{ .Values.said | quote }}}\n";
  const archive = packChart("web", "1.2.3", { "values.yaml": "said: chart\n", "templates/a.yaml": template });
  const newer = packChart("web", "1.3.0", {
    "templates/a.yaml": template.replace("said: {{", "heard: {{"),
    "templates/b.yaml": template.replace("name: a", "name: b"),
  });
  helm.files.set("/charts/index.yaml", indexOf("web", "1.2.3", archive));
  helm.files.set("/charts/web-1.2.3.tgz", archive);
  const chart = { repository: "charts", name: "web", version: "1.2.3" };
  await world.git.commit(
    "fleet",
    "main",
    {
      "fleet/charts.yaml": yaml({
        apiVersion: "plumbline.dev/v1",
        kind: "Repository",
        metadata: { name: "charts" },
        spec: { type: "helm", url: helm.url },
      }),
      "fleet/web.yaml": yaml({
        apiVersion: "plumbline.dev/v1",
        kind: "Application",
        metadata: { name: "web" },
        spec: {
          source: { helm: { chart, values: { said: "by the Application" } } },
          namespace: "author-shop",
          environments: ["dev"],
        },
      }),
    },
    "a chart from elsewhere",
  );
  await world.until("the chart to be applied", async () =>
    (await world.status()).rows.some(({ application, settled }) => application === "web" && settled === 1),
  );
  const shown = await plumb("render", "web", "--cluster", "author-1", "--from-hub");
  expect(shown.stdout).toContain("data:\n  said: by the Application\n");
  expect(shown.stderr).toMatch(
    /^web for author-1 \(dev\) at \w{7}: 1 object by helm \(spec\.source\.helm\.chart: web 1\.2\.3 of charts, sha256:\w{12}\), digest \w{12}\n$/,
  );

  // What the author has in the checkout, with the chart that the hub has.
  await git("-C", checkout, "pull", "--quiet");
  const web = (...more: string[]): Promise<Ran> => plumb("diff", "web", "--cluster", "author-1", ...more);
  expect(await web("--exit-code")).toEqual({ code: 0, stdout: "", stderr: "web on author-1: nothing differs\n" });
  const declared = await readFile(join(checkout, "fleet/web.yaml"), "utf8");
  await write({ "fleet/web.yaml": declared.replace("by the Application", "by the author") });
  expect((await web()).stdout).toBe(
    '~ ConfigMap author-shop/a\n    data.said  "by the Application" → "by the author"\n',
  );
  const rendered = await plumb("render", "web", "--cluster", "author-1");
  expect([rendered.stdout, rendered.stderr]).toEqual([
    expect.stringContaining("said: by the author\n"),
    expect.stringContaining("web 1.2.3 of charts, sha256:"),
  ]);
  // A version that nobody has pushed yet is fetched to look at, and put on no record.
  helm.files.set("/charts/index.yaml", indexOf("web", "1.3.0", newer));
  helm.files.set("/charts/web-1.3.0.tgz", newer);
  await write({ "fleet/web.yaml": declared.replace("1.2.3", "1.3.0") });
  expect((await web()).stdout).toBe(
    '~ ConfigMap author-shop/a\n    - data.said  "by the Application"\n    + data.heard  "by the Application"\n+ ConfigMap author-shop/b\n    + data.said  "by the Application"\n',
  );
  const onRecord = await world.git.git("fleet", ["ls-tree", "-r", "--name-only", recordBranch, "charts"]);
  expect(onRecord).toBe("charts/charts/web/1.2.3.yaml");

  // A copy at hand is as good, and asks no hub.
  const copy = join(world.folder, "web.tgz");
  await writeFile(copy, newer);
  const offline = await plumb("render", "web", "--cluster", "author-1", "--chart", copy, "--hub", "http://127.0.0.1:1");
  expect([offline.code, offline.stdout]).toEqual([0, expect.stringContaining("heard: by the Application\n")]);

  // What no Application of the fleet names is not read by the hub's credentials, and a viewer reads no chart.
  await write({ "fleet/web.yaml": declared.replace("name: web\n        version", "name: other\n        version") });
  const other = await plumb("render", "web", "--cluster", "author-1");
  expect([other.code, other.stderr]).toEqual([
    1,
    "plumb: the chart other 1.2.3 of charts lies elsewhere, and only the hub fetches it: no Application of the fleet uses other of charts\n       name the hub by --hub and yourself by --token-file, or its archive (helm pull) by --chart\n",
  ]);
});

test("a chart of another Git repository is rendered at its commit, from the hub or from a checkout of it", async () => {
  const url = await world.git.createRepository("platform");
  const template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {said: {{ .Values.said | quote }}}\n";
  const revision = await world.git.commit(
    "platform",
    "main",
    {
      "charts/api/Chart.yaml": "apiVersion: v2\nname: api\nversion: 1.0.0\n",
      "charts/api/templates/c.yaml": template,
      "charts/other/Chart.yaml": "apiVersion: v2\nname: other\nversion: 1.0.0\n",
    },
    "a chart",
  );
  await world.git.commit("platform", "main", { "charts/api/templates/c.yaml": null }, "and it is gone");
  const document = (kind: string, name: string, spec: object): string =>
    yaml({ apiVersion: "plumbline.dev/v1", kind, metadata: { name }, spec });
  const chart = { repository: "platform", path: "charts/api", revision };
  const source = { helm: { chart, values: { said: "pushed" } } };
  await world.git.commit(
    "fleet",
    "main",
    {
      "fleet/platform.yaml": document("Repository", "platform", { url }),
      "fleet/api.yaml": document("Application", "api", { source, namespace: "author-shop", environments: ["dev"] }),
    },
    "a chart in Git",
  );
  await world.until("the chart to be applied", async () =>
    (await world.status()).rows.some(({ application, settled }) => application === "api" && settled === 1),
  );
  await git("-C", checkout, "pull", "--quiet");
  const api = (...more: string[]): Promise<Ran> =>
    plumb("diff", "api", "--cluster", "author-1", "--exit-code", ...more);
  expect(await api()).toMatchObject({ code: 0, stdout: "" });
  const declared = await readFile(join(checkout, "fleet/api.yaml"), "utf8");
  await write({ "fleet/api.yaml": declared.replace("pushed", "edited") });
  const edited = { code: 3, stdout: '~ ConfigMap author-shop/c\n    data.said  "pushed" → "edited"\n' };
  expect(await api()).toMatchObject(edited);
  const platform = join(world.folder, "platform");
  await git("clone", "--quiet", url, platform);
  expect(await api("--chart", platform)).toMatchObject(edited);
  await write({ "fleet/api.yaml": declared.replace("charts/api", "charts/other") });
  const other = await api();
  expect([other.code, other.stderr]).toEqual([
    1,
    expect.stringContaining("no Application of the fleet uses charts/other of platform"),
  ]);
});

test("what runs and is probably a mistake is said in the status, also by a hub that found it rendered already", async () => {
  const settings = `${configMap("settings", { level: "info" })}immutable: off\n`;
  await world.git.commit(
    "fleet",
    "main",
    { "apps/shop/settings.yaml": settings, "apps/shop/web.yaml": deployment("web", "registry.example/web:1") },
    "a slip",
  );
  const warnings = async (): Promise<readonly string[]> =>
    (await world.status()).rows.find(({ application }) => application === "shop")!.warnings;
  await world.until("the warning", async () => (await warnings()).length > 0);
  const said =
    /^apps\/shop\/settings\.yaml:\d+: immutable is off, which is read as false: write false, or "off" for the text$/;
  expect(await warnings()).toEqual([expect.stringMatching(said)]);
  expect((await world.plumb("status")).stdout).toMatch(
    /\nwarning: shop: apps\/shop\/settings\.yaml:\d+: immutable is off/,
  );
  await world.stopHub();
  await world.startHub();
  await world.until("the warning again", async () => (await warnings()).length > 0);
  expect(await warnings()).toEqual([expect.stringMatching(said)]);
});

test("a fleet folder that could not be read is no problem any more once it is as it was", async () => {
  const problems = async (): Promise<string> => JSON.stringify((await world.status()).problems);
  const before = await problems();
  await world.git.commit("fleet", "main", { "fleet/big.yaml": "#".repeat(2 * 2 ** 20) }, "a file too large");
  await world.until("the folder to be refused", async () =>
    (await problems()).includes("fleet/big.yaml is 2097152 bytes"),
  );
  const mended = await world.git.commit("fleet", "main", { "fleet/big.yaml": null }, "as it was");
  await world.until("the fleet to be read", async () => (await world.status()).fleetCommit === mended);
  expect(await problems()).toBe(before);
});

test("on a terminal what is gone is red and what is new is green, unless NO_COLOR says otherwise", async () => {
  await write({ "apps/shop/web.yaml": deployment("web", "registry.example/web:1", 3) });
  const onTerminal = async (...env: string[]): Promise<string> => {
    const words = [process.execPath, cli, "diff", "shop", "--fleet", join(checkout, "fleet"), "--revision", "HEAD"];
    const log = join(world.folder, "typescript");
    await run("script", ["--quiet", "--command", ["env", ...env, ...words].join(" "), log], {
      env: { PATH: process.env["PATH"], HOME: world.folder, LANG: "C.UTF-8", TERM: "xterm" },
    });
    return (await readFile(log, "utf8")).replaceAll("\r\n", "\n");
  };
  expect(await onTerminal()).toContain("spec.replicas  \u001b[31m2\u001b[0m → \u001b[32m3\u001b[0m\n");
  const plain = await onTerminal("NO_COLOR=1");
  expect(plain).toContain("    spec.replicas  2 → 3\n");
  expect(plain).not.toContain("\u001b[3");
});

const cli = new URL("../cli/main.ts", import.meta.url).pathname;
