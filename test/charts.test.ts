import { randomUUID } from "node:crypto";
import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openBundle } from "#proto/bundle.ts";
import { sha256Hex } from "#proto/json.ts";
import { createAuthority } from "#test/harness/authority.ts";
import { packChart } from "#test/harness/chart-archive.ts";
import {
  indexOf,
  startHelmRepository,
  startRegistry,
  type HelmRepository,
  type Registry,
} from "#test/harness/chart-servers.ts";
import { openKitchen, type Kitchen } from "#test/harness/kitchen.ts";
import { cluster, environment, yaml } from "#test/harness/manifests.ts";

let started: AsyncDisposableStack;
let kitchen: Kitchen;
let helm: HelmRepository;
let registry: Registry;
beforeEach(async () => {
  started = new AsyncDisposableStack();
  kitchen = started.use(await openKitchen());
  helm = started.use(await startHelmRepository());
  registry = started.use(await startRegistry());
});
afterEach(() => started[Symbol.asyncDispose]());

const template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {said: {{ .Values.said | quote }}}\n";
const web = (said: string, version = "1.2.3", more: Record<string, string> = {}): Buffer =>
  packChart("web", version, { "values.yaml": `said: ${said}\n`, "templates/a.yaml": template, ...more });
const repository = (type: string, url: string, more: object = {}): string =>
  yaml({
    apiVersion: "plumbline.dev/v1",
    kind: "Repository",
    metadata: { name: "charts" },
    spec: { type, url, ...more },
  });
const application = (helm_: object, more: object = {}): string =>
  yaml({
    apiVersion: "plumbline.dev/v1",
    kind: "Application",
    metadata: { name: "web" },
    spec: { source: { ...more, helm: helm_ }, namespace: "shop", environments: ["prod"] },
  });
const published = { repository: "charts", name: "web", version: "1.2.3" };
const fleet = {
  "fleet/e.yaml": environment("prod", { follow: "main" }),
  "fleet/c.yaml": cluster("eu-1", { env: "prod" }),
  "fleet/a.yaml": application({ chart: published }),
};
const serve = (archive: Buffer, version = "1.2.3"): void => {
  helm.files.set("/charts/index.yaml", indexOf("web", version, archive));
  helm.files.set(`/charts/web-${version}.tgz`, archive);
};

/** What the one cluster would run, or why not. */
async function said(): Promise<string> {
  const targets = kitchen.targets();
  await kitchen.renders().render(targets);
  const outcome = kitchen.renders().outcome(targets[0]!);
  if (outcome?.ok !== true) return outcome?.because ?? "not rendered";
  const rendered = kitchen.made.put.findLast(({ digest }) => digest === outcome.digest)!;
  return (openBundle(rendered.slices, rendered)[0]!["data"] as { said: string }).said;
}

describe("a chart of a Helm repository", () => {
  const at = () => ({ ...fleet, "fleet/r.yaml": repository("helm", helm.url) });

  test("is fetched by the hub, rendered with the Application's own values, and on record by its digest", async () => {
    const archive = web("chart");
    serve(archive);
    const source = { repository: undefined, path: "deploy" };
    await kitchen.commit({
      ...at(),
      "fleet/a.yaml": application(
        { chart: published, valuesFiles: ["${environment}.yaml"], values: { other: 1 } },
        source,
      ),
      "deploy/prod.yaml": "said: from the file\n",
    });
    expect(await said()).toBe("from the file");
    const digest = `sha256:${sha256Hex(archive)}`;
    expect([...kitchen.records().charts.values()]).toEqual([{ ...published, digest, url: helm.url }]);
    expect(kitchen.renders().choice("web", "prod")).toBe(
      `helm (spec.source.helm.chart: web 1.2.3 of charts, ${digest.slice(0, 19)})`,
    );
    const asked = helm.requests.length;
    await kitchen.commit({ "deploy/prod.yaml": "said: changed\n" });
    expect(await said()).toBe("changed");
    await kitchen.commit({ "README.md": "another" });
    kitchen.clear();
    expect(kitchen.renders().outcome(kitchen.targets()[0]!)).toBeUndefined();
    await kitchen.restart();
    await kitchen.renders().render(kitchen.targets());
    expect(kitchen.made).toMatchObject({ bundles: [], tools: [] });
    expect(helm.requests).toHaveLength(asked);
  });

  test("that somebody only looks at is not put on record; what is on record holds for them too", async () => {
    const archive = web("first");
    serve(archive);
    await kitchen.commit(at());
    const chart = { ...published, digest: null };
    const digest = `sha256:${sha256Hex(archive)}`;
    expect(await kitchen.charts().look(chart)).toMatchObject({ digest });
    expect(kitchen.records().charts.size).toBe(0);
    expect(await said()).toBe("first");
    expect(kitchen.records().charts.size).toBe(1);
    serve(web("other content"));
    expect(await kitchen.charts().look(chart)).toMatchObject({ digest });
    await kitchen.rebuild();
    await expect(kitchen.charts().look(chart)).rejects.toThrow("must not change");
  });

  test("that changes under its version is refused by a rebuilt hub, which finds the digest on record; the pin in Git lifts it", async () => {
    serve(web("first"));
    await kitchen.commit(at());
    expect(await said()).toBe("first");
    const changed = web("other content");
    serve(changed);
    await kitchen.commit({ "README.md": "changed" });
    expect(await said()).toBe("first");
    await kitchen.rebuild();
    const digest = `sha256:${sha256Hex(changed)}`;
    expect(await said()).toMatch(
      new RegExp(
        `web 1\\.2\\.3 of charts is ${digest}, and the record says sha256:.*must not change.*chart\\.digest: ${digest}`,
      ),
    );
    await kitchen.commit({ "fleet/a.yaml": application({ chart: { ...published, digest } }) });
    expect(await said()).toBe("other content");
    serve(web("first"));
    await kitchen.rebuild();
    expect(await said()).toContain("spec.source.helm.chart.digest says");
  });

  test("that is the same again is found by its record, and gives the same bundle", async () => {
    serve(web("first"));
    await kitchen.commit(at());
    await said();
    const [before] = kitchen.made.put;
    kitchen.clear();
    await kitchen.rebuild();
    expect(await said()).toBe("first");
    expect(kitchen.made.put[0]!.address).toBe(before!.address);
  });

  test("with credentials sends them to its own host, and to no other", async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-credentials-"));
    const file = join(folder.path, "credentials");
    await writeFile(file, "robot:canary\n");
    await using elsewhere = await startHelmRepository();
    const archive = web("guarded");
    const authorization = `Basic ${Buffer.from("robot:canary").toString("base64")}`;
    helm.authorization = authorization;
    helm.files.set("/charts/index.yaml", indexOf("web", "1.2.3", archive, "download/web.tgz"));
    helm.files.set("/charts/download/web.tgz", { location: `http://${elsewhere.origin}/web.tgz?signature=secret` });
    elsewhere.files.set("/web.tgz?signature=secret", archive);
    await kitchen.commit({ ...at(), "fleet/r.yaml": repository("helm", helm.url) });
    expect(await said()).toMatch(/index\.yaml answers 401: check the credentials/);
    await kitchen.commit({ "fleet/r.yaml": repository("helm", helm.url, { credentials: { file } }) });
    expect(await said()).toBe("guarded");
    expect(elsewhere.requests).toEqual([{ path: "/web.tgz?signature=secret", authorization: undefined }]);
  });

  test("behind an authority of one's own, which asks for a certificate, is fetched with both; its archive elsewhere without the latter", async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-tls-"));
    const put = async (name: string, text: string): Promise<{ file: string }> => {
      await writeFile(join(folder.path, name), text);
      return { file: join(folder.path, name) };
    };
    const [authority, clients] = await Promise.all([createAuthority(), createAuthority()]);
    const { keyPem, certificatePem } = await authority.issue("CN=charts", { ips: ["127.0.0.1"] });
    const server = { key: keyPem, cert: certificatePem };
    await using guarded = await startHelmRepository({ ...server, ca: clients.certificatePem, requestCert: true });
    // It asks for one, too, and lets in whoever has none.
    await using store = await startHelmRepository({ ...server, requestCert: true, rejectUnauthorized: false });
    const archive = web("by certificate");
    guarded.files.set("/charts/index.yaml", indexOf("web", "1.2.3", archive, `https://${store.origin}/web.tgz`));
    store.files.set("/web.tgz", archive);
    const own = await clients.issue("CN=hub");
    const ca = { file: join(folder.path, "ca.pem") };
    const clientCertificate = {
      certificate: await put("hub.pem", own.certificatePem),
      key: await put("hub.key", own.keyPem),
    };
    const trying = async (more: object): Promise<string> => {
      await kitchen.commit({
        ...at(),
        "fleet/r.yaml": repository("helm", guarded.url, more),
        "README.md": randomUUID(),
      });
      return said();
    };
    expect(await trying({})).toMatch(/index\.yaml: .*certificate/);
    expect(await trying({ ca })).toBe("spec.source.helm.chart: ca of the Repository charts: its file cannot be read");
    await put("ca.pem", clients.certificatePem);
    expect(await trying({ ca, clientCertificate })).toMatch(/index\.yaml: .*certificate/);
    await put("ca.pem", authority.certificatePem);
    expect(await trying({ ca })).toMatch(/index\.yaml: /);
    expect(guarded.requests).toEqual([]);
    expect(await trying({ ca, clientCertificate })).toBe("by certificate");
    expect([guarded.requests[0]?.client, store.requests]).toEqual([
      "hub",
      [{ path: "/web.tgz", authorization: undefined, client: undefined }],
    ]);
  });

  test.each<[string, () => void, RegExp]>([
    ["is not there", () => helm.files.set("/charts/index.yaml", "entries: {}"), /index\.yaml: has no chart web/],
    ["has another version only", () => serve(web("x"), "1.2.4"), /has no version 1\.2\.3 of web; there is 1\.2\.4/],
    [
      "is not what the index says",
      () => {
        serve(web("x"));
        helm.files.set("/charts/web-1.2.3.tgz", web("tampered with"));
      },
      /web-1\.2\.3\.tgz is sha256:\w+, and .*index\.yaml says sha256:/,
    ],
    [
      "lies at an internal address",
      () =>
        helm.files.set(
          "/charts/index.yaml",
          indexOf("web", "1.2.3", web("x"), "http://169.254.169.254/latest/web.tgz"),
        ),
      /169\.254\.169\.254.*only https/,
    ],
    [
      "lies at a name of this machine",
      () => helm.files.set("/charts/index.yaml", indexOf("web", "1.2.3", web("x"), "https://localhost/web.tgz")),
      /localhost is an internal host; allow it with --allow-repository-host localhost/,
    ],
    [
      "is sent to an internal address",
      () => {
        serve(web("x"));
        helm.files.set("/charts/web-1.2.3.tgz", { location: "https://10.0.0.1/web.tgz" });
      },
      /10\.0\.0\.1 is an internal host/,
    ],
    [
      "has an index that is sent elsewhere",
      () => helm.files.set("/charts/index.yaml", { location: "/charts/other.yaml" }),
      /index\.yaml: sends elsewhere \(302\)/,
    ],
    [
      "is larger than is read",
      () => {
        const archive = Buffer.alloc(21 * 1024 * 1024);
        serve(archive);
      },
      /answers with more than 20 MiB/,
    ],
    ["has an index that is no YAML", () => helm.files.set("/charts/index.yaml", "a: [\n"), /index\.yaml:\d+: /],
    [
      "misses a dependency",
      () =>
        serve(
          web("x", "1.2.3", {
            "Chart.yaml":
              "apiVersion: v2\nname: web\nversion: 1.2.3\ndependencies: [{name: db, version: 1.0.0, repository: 'https://x.example'}]\n",
          }),
        ),
      /helm: .*missing in charts\/ directory: db/,
    ],
    ["is no archive", () => serve(Buffer.from("text")), /helm: /],
    [
      "names a file outside of itself",
      () => serve(packChart("web", "1.2.3", {}, [{ path: "web/../../../evil", content: Buffer.from("x") }])),
      /^helm: Error: unable to load chart archive: it holds a file outside of the chart's folder/,
    ],
    [
      "links to a file of the hub's, which is not followed,",
      () => serve(packChart("web", "1.2.3", {}, [{ path: "web/templates/a.yaml", linkTo: "/etc/passwd" }])),
      /^web: its folder holds no manifest$/,
    ],
    [
      "unpacks to a hundred times its size",
      () => serve(packChart("web", "1.2.3", {}, [{ path: "web/files/zeros", content: Buffer.alloc(120 * 2 ** 20) }])),
      /^helm: Error: unable to load chart archive: .* or more than Helm unpacks/,
    ],
  ])("that %s is refused in words", async (_name, prepare, message) => {
    prepare();
    await kitchen.commit(at());
    expect(await said()).toMatch(message);
  });
});

describe("a chart of an OCI registry", () => {
  const at = (more: object = {}) => ({ ...fleet, "fleet/r.yaml": repository("oci", registry.url, more) });

  test("is pulled with a token, and on record by the digest of its content", async () => {
    const archive = web("from the registry", "1.2.3+build.5");
    registry.push("web", "1.2.3+build.5", archive);
    await kitchen.commit({
      ...at(),
      "fleet/a.yaml": application({ chart: { ...published, version: "1.2.3+build.5" } }),
    });
    expect(await said()).toBe("from the registry");
    expect([...kitchen.records().charts.values()]).toMatchObject([{ digest: `sha256:${sha256Hex(archive)}` }]);
    expect(registry.requests.map(({ path }) => path.split("?")[0])).toEqual([
      "/v2/team/charts/web/manifests/1.2.3_build.5",
      "/token",
      "/v2/team/charts/web/manifests/1.2.3_build.5",
      `/v2/team/charts/web/blobs/sha256:${sha256Hex(archive)}`,
    ]);
  });

  test("whose tag moved is refused by a rebuilt hub", async () => {
    registry.push("web", "1.2.3", web("first"));
    await kitchen.commit(at());
    expect(await said()).toBe("first");
    registry.push("web", "1.2.3", web("second"));
    await kitchen.rebuild();
    expect(await said()).toContain("what is published under a version must not change");
  });

  test("shows credentials to the token's server alone, and follows to where the content lies without any", async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-credentials-"));
    const file = join(folder.path, "credentials");
    await writeFile(file, "robot:canary");
    await using store = await startHelmRepository();
    const archive = web("guarded");
    registry.push("web", "1.2.3", archive);
    registry.credentials = "robot:canary";
    registry.blobsAt = `http://${store.origin}/store`;
    store.files.set(`/store/sha256:${sha256Hex(archive)}`, archive);
    await kitchen.commit(at());
    expect(await said()).toMatch(/\/token answers 401/);
    await kitchen.commit(at({ credentials: { file } }));
    expect(await said()).toBe("guarded");
    expect(store.requests.map(({ authorization }) => authorization)).toEqual([undefined]);
    const basic = `Basic ${Buffer.from("robot:canary").toString("base64")}`;
    expect(registry.requests.filter(({ authorization }) => authorization === basic).map(({ path }) => path)).toEqual([
      expect.stringContaining("/token?") as string,
    ]);
  });

  test("whose content is another than its digest is refused", async () => {
    await using store = await startHelmRepository();
    const archive = web("x");
    registry.push("web", "1.2.3", archive);
    registry.blobsAt = `http://${store.origin}/store`;
    store.files.set(`/store/sha256:${sha256Hex(archive)}`, web("tampered with"));
    await kitchen.commit(at());
    expect(await said()).toMatch(/gives content with the digest sha256:/);
  });
});

describe("a chart of another folder in Git", () => {
  const chart = {
    "charts/web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n",
    "charts/web/templates/a.yaml": template,
  };

  test("of the same repository takes values beside the Application, and is rendered again when it changes", async () => {
    await kitchen.commit({
      ...fleet,
      ...chart,
      "fleet/a.yaml": application(
        { chart: { path: "charts/web" }, valuesFiles: ["values.yaml"] },
        { path: "deploy/${environment}" },
      ),
      "deploy/prod/values.yaml": "said: prod\n",
    });
    expect(await said()).toBe("prod");
    await kitchen.commit({
      "charts/web/templates/a.yaml": template.replace(".Values.said", '(print .Values.said "!")'),
    });
    expect(await said()).toBe("prod!");
    kitchen.clear();
    await kitchen.commit({ "charts/README.md": "text" });
    await kitchen.renders().render(kitchen.targets());
    expect(kitchen.made.bundles).toEqual([]);
    await kitchen.commit({ "deploy/prod/values.yaml": null });
    expect(await said()).toBe(
      "spec.source.helm.valuesFiles[0]: deploy/prod/values.yaml is not in this commit, or is no file",
    );
  });

  test("of another repository stays at its commit", async () => {
    const revision = await kitchen.commit(chart);
    await kitchen.commit({
      ...fleet,
      "fleet/r.yaml": yaml({
        apiVersion: "plumbline.dev/v1",
        kind: "Repository",
        metadata: { name: "again" },
        spec: { url: "https://git.example/x.git" },
      }),
      "fleet/a.yaml": application({
        chart: { repository: "again", path: "charts/web", revision },
        values: { said: "pinned" },
      }),
      "charts/web/templates/a.yaml": template.replace(".Values.said", '"newer"'),
    });
    expect(await said()).toBe("pinned");
  });
});
