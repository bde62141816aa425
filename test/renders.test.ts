import { randomUUID } from "node:crypto";
import { mkdtempDisposable, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Target } from "#hub/decide/inputs.ts";
import { openBundle } from "#proto/bundle.ts";
import { openKitchen, type Kitchen, type KitchenOptions } from "#test/harness/kitchen.ts";
import { cluster, configMap, environment, yaml } from "#test/harness/manifests.ts";

let kitchen: Kitchen;
beforeEach(async () => {
  kitchen = await openKitchen();
});
afterEach(() => kitchen[Symbol.asyncDispose]());
const openAnother = async (options: KitchenOptions): Promise<void> => {
  await kitchen[Symbol.asyncDispose]();
  kitchen = await openKitchen(options);
};

const application = (name: string, source: object, environments = ["prod"]): string =>
  yaml({
    apiVersion: "plumbline.dev/v1",
    kind: "Application",
    metadata: { name },
    spec: { source, namespace: "shop", environments },
  });
const clusters = (count: number, env = "prod"): Record<string, string> =>
  Object.fromEntries(
    Array.from({ length: count }, (_, n) => [
      `fleet/c/${env}-${n}.yaml`,
      cluster(`${env}-${n}`, { env, region: n % 2 === 0 ? "eu" : "us" }),
    ]),
  );
const environments = { "fleet/e.yaml": environment("prod", { follow: "main" }) };
const render = async (targets: readonly Target[] = kitchen.targets()) => {
  await kitchen.renders().render(targets);
  return targets.map((target) => kitchen.renders().outcome(target));
};
const digests = async (targets?: readonly Target[]) =>
  (await render(targets)).map((outcome) => (outcome?.ok ? outcome.digest : (outcome?.because ?? "not rendered")));
const chart = {
  "web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n",
  "web/values.yaml": "greeting: hello\n",
  "web/templates/a.yaml":
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {greeting: {{ .Values.greeting | quote }}}\n",
};

test("what uses no parameter of a cluster is rendered once for all of them; a chart twice at once, to see that it is the same", async () => {
  await kitchen.commit({
    ...environments,
    ...clusters(20),
    ...chart,
    "fleet/a.yaml": application("web", { path: "web" }),
  });
  expect(new Set(await digests()).size).toBe(1);
  expect(kitchen.made.bundles).toHaveLength(1);
  expect(kitchen.made.tools).toEqual(["helm", "helm"]);
  expect(kitchen.made.put).toHaveLength(1);
});

test("a chart with values of each cluster is rendered for each, its determinism shown once", async () => {
  const source = { path: "web", helm: { values: { greeting: "${cluster.name}" } } };
  await kitchen.commit({ ...environments, ...clusters(6), ...chart, "fleet/a.yaml": application("web", source) });
  expect(new Set(await digests()).size).toBe(6);
  expect(kitchen.made.tools).toHaveLength(7);
});

test("what helm.once names may be random: it is marked for the agent, and a rebuilt hub gives the same digest", async () => {
  const source = { path: "web", helm: { once: [{ kind: "Secret", name: "salt" }] } };
  await kitchen.commit({
    ...environments,
    ...clusters(1),
    ...chart,
    "web/templates/salt.yaml":
      "apiVersion: v1\nkind: Secret\nmetadata: {name: salt}\nstringData: {salt: {{ randAlphaNum 20 | quote }}}\n",
    "fleet/a.yaml": application("web", source),
  });
  const first = await digests();
  expect(first).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/)]);
  const saltOf = (n: number) => {
    const rendered = kitchen.made.put[n]!;
    return openBundle(rendered.slices, rendered).find(({ kind }) => kind === "Secret")!;
  };
  expect(saltOf(0).metadata.annotations).toEqual({ "plumbline.dev/apply": "once" });
  await kitchen.rebuild();
  expect(await digests()).toEqual(first);
  expect(saltOf(1)["data"]).not.toEqual(saltOf(0)["data"]);
});

describe("a commit renders what it can affect", () => {
  const many = Object.fromEntries(
    Array.from({ length: 30 }, (_, n) => [
      [`fleet/apps/a${n}.yaml`, application(`a${n}`, { path: `apps/a${n}` })],
      [`apps/a${n}/x.yaml`, configMap(`m${n}`, { n: String(n) })],
    ]).flat(),
  );

  test("one file of thirty Applications renders one of them, whatever else the commit holds", async () => {
    await kitchen.commit({ ...environments, ...clusters(2), ...many });
    const before = await digests();
    expect(kitchen.made.bundles).toHaveLength(30);
    kitchen.clear();
    await kitchen.commit({ "apps/a7/x.yaml": configMap("m7", { n: "changed" }), "docs/new.md": "text" });
    const after = await digests();
    expect(kitchen.made.bundles).toEqual(["a7"]);
    expect(after.filter((digest, n) => digest !== before[n])).toHaveLength(2);
  });

  test("a base that overlays in other folders name renders those, and a file beside it none", async () => {
    await kitchen.commit({
      ...environments,
      ...clusters(1),
      "fleet/a.yaml": application("a", { path: "overlays/a" }),
      "fleet/b.yaml": application("b", { path: "overlays/b" }),
      "base/kustomization.yaml": "resources: [map.yaml]",
      "base/map.yaml": configMap("m", { from: "base" }),
      "overlays/a/kustomization.yaml": "resources: [../../base]\nnamePrefix: a-",
      "overlays/b/kustomization.yaml": "resources: [map.yaml]",
      "overlays/b/map.yaml": configMap("b", { own: "1" }),
    });
    const [a, b] = await digests();
    kitchen.clear();
    await kitchen.commit({ "base/map.yaml": configMap("m", { from: "another base" }) });
    const [newA, newB] = await digests();
    expect(kitchen.made.bundles).toEqual(["a"]);
    expect([newA !== a, newB === b]).toEqual([true, true]);
    kitchen.clear();
    await kitchen.commit({ "overlays/README.md": "text" });
    expect(await digests()).toEqual([newA, newB]);
    await kitchen.commit({ "base/map.yaml": configMap("m", { from: "base" }) });
    expect(await digests()).toEqual([a, b]);
    expect(kitchen.made.bundles).toEqual([]);
  });

  test("a base that comes, goes and comes back is seen each time", async () => {
    const kustomization = (resources: string) => ({ "k/kustomization.yaml": `resources: [${resources}]` });
    await kitchen.commit({
      ...environments,
      ...clusters(1),
      ...kustomization("../one"),
      "fleet/a.yaml": application("a", { path: "k" }),
      "one/kustomization.yaml": "resources: [m.yaml]",
      "one/m.yaml": configMap("one", {}),
      "two/kustomization.yaml": "resources: [m.yaml]",
      "two/m.yaml": configMap("two", {}),
    });
    const [one] = await digests();
    await kitchen.commit(kustomization("../one, ../two"));
    const [both] = await digests();
    await kitchen.commit({ "two/m.yaml": configMap("two", { changed: "yes" }) });
    const [changed] = await digests();
    await kitchen.commit(kustomization("../one"));
    expect(new Set([one, both, changed]).size).toBe(3);
    expect(await digests()).toEqual([one]);
    await kitchen.commit({ "one/kustomization.yaml": null });
    expect(await digests()).toEqual(["one is built by kustomize and has no kustomization.yaml"]);
  });

  test("a folder that cannot be rendered is tried again when something that it reads has changed, and not before", async () => {
    const overlay = (patch: string) => ({ "overlay/kustomization.yaml": `resources: [../base]\n${patch}` });
    await kitchen.commit({
      ...environments,
      ...clusters(3),
      ...chart,
      ...overlay(""),
      "web/templates/b.yaml": '{{ fail "no port" }}',
      "fleet/chart.yaml": application("chart", { path: "web" }),
      "fleet/twin.yaml": application("twin", { path: "plain" }),
      "fleet/plain.yaml": application("plain", { path: "plain" }),
      "fleet/overlay.yaml": application("overlay", { path: "overlay" }),
      "plain/x.yaml": "kind: ConfigMap\n",
      "base/kustomization.yaml": "resources: [x.yaml]",
      "base/x.yaml": "kind: ConfigMap\n",
    });
    const all = await digests();
    expect(new Set(all).size).toBe(3);
    expect(all[0]).toContain("no port");
    expect(kitchen.made.tools.toSorted()).toEqual(["helm", "helm", "kustomize"]);
    await kitchen.commit({ "docs/new.md": "text" });
    kitchen.clear();
    expect(await digests()).toEqual(all);
    expect([kitchen.made.bundles, kitchen.made.tools]).toEqual([[], []]);
    // What is mended is rendered, and nothing else is.
    await kitchen.commit({ "base/x.yaml": configMap("x", {}) });
    const mended = await digests();
    expect(kitchen.made.tools).toEqual(["kustomize"]);
    expect(mended.filter((digest, n) => digest !== all[n])).toHaveLength(3);
    await kitchen.commit({ "web/templates/b.yaml": null, "base/x.yaml": "kind: ConfigMap\n" });
    kitchen.clear();
    expect((await digests()).filter((digest, n) => digest !== all[n])).toHaveLength(3);
    expect(kitchen.made.tools).toEqual(["helm", "helm"]);
  });

  const loud = (letters: number) => ({
    ...environments,
    ...clusters(1),
    "fleet/web.yaml": application("web", { path: "web" }),
    "web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n",
    "web/templates/a.yaml": `{{ range $n := until 40 }}\n---\n${configMap("m{{ $n }}", { text: `{{ repeat ${letters} "a" }}` })}{{ end }}`,
  });
  const anotherCommit = async (): Promise<void> => {
    kitchen.clear();
    await kitchen.commit({ "docs/new.md": randomUUID() });
  };

  /** As a round asks: first what is known. */
  const decided = (): Promise<string[]> => {
    for (const target of kitchen.targets()) kitchen.renders().outcome(target);
    return digests();
  };

  test("what gives too much gives it again: it is tried again when its files change", async () => {
    // Far from the limit of memory, which a helm that fills the real limit of output may reach first.
    await openAnother({ limits: { outputBytes: 2 * 2 ** 20 } });
    await kitchen.commit(loud(100_000));
    const [failed] = await digests();
    expect(failed).toBe("helm gives more than 2 MB of output");
    await anotherCommit();
    kitchen.clock.nowMs += 24 * 3_600_000;
    expect(await decided()).toEqual([failed]);
    expect(kitchen.made.tools).toEqual([]);
    await kitchen.commit(loud(10));
    expect(await digests()).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/)]);
  });

  test("what ran into a limit of time or memory is tried again after a while, ever later, and not by each commit", async () => {
    await openAnother({ limits: { timeMs: 1 } });
    await kitchen.commit(loud(10));
    const [failed] = await digests();
    expect(failed).toBe("helm takes more than 0.001 s");
    const triedAt: number[] = [];
    for (const minute of Array.from({ length: 60 }, (_, n) => n + 1)) {
      kitchen.clock.nowMs = minute * 60_000;
      await anotherCommit();
      expect(await digests()).toEqual([failed]);
      if (kitchen.made.tools.length > 0) triedAt.push(minute);
    }
    // Waits of half a minute, doubled each time and shortened by up to a half.
    expect(triedAt[0]).toBe(1);
    expect(triedAt.length).toBeGreaterThan(3);
    expect(triedAt.length).toBeLessThan(14);
    // Without a commit, too.
    kitchen.clear();
    kitchen.clock.nowMs += 3_600_000;
    expect(await decided()).toEqual([failed]);
    expect(kitchen.made.tools).not.toEqual([]);
  });

  test("a fence that could not be put up is no fault of the files: it is tried again at each commit, and without one", async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-unshare-"));
    const [unshare, broken] = [join(folder.path, "unshare"), join(folder.path, "broken")];
    // What the real one says where a machine gives no more namespaces.
    const complaint = "unshare: unshare failed: No space left on device";
    const script = `#!/bin/sh\n[ -e ${broken} ] && { echo "${complaint}" >&2; exit 1; }\nexec /usr/bin/unshare "$@"\n`;
    await writeFile(unshare, script, { mode: 0o755 });
    await openAnother({ fence: { unshare } });
    await writeFile(broken, "");
    const failed = `helm cannot be fenced in here: ${complaint}`;
    await kitchen.commit(loud(10));
    expect(await digests()).toEqual([failed]);
    await anotherCommit();
    expect(await digests()).toEqual([failed]);
    expect(kitchen.made.tools).not.toEqual([]);
    await rm(broken);
    expect(await decided()).toEqual([failed]);
    kitchen.clock.nowMs += 30_000;
    expect(await decided()).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/)]);
  });

  test("what cannot be rendered for a reason that nobody thought of is one Application's, and the others go on", async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-unshare-"));
    const unshare = join(folder.path, "unshare");
    await writeFile(unshare, '#!/bin/sh\nexec /usr/bin/unshare "$@"\n', { mode: 0o755 });
    await openAnother({ fence: { unshare } });
    const fleet = { ...environments, ...clusters(1), "fleet/plain.yaml": application("plain", { path: "plain" }) };
    const values = { path: "web", helm: { valuesFiles: ["templates"] } };
    await kitchen.commit({
      ...fleet,
      ...chart,
      "plain/a.yaml": configMap("a", {}),
      "fleet/web.yaml": application("web", values),
    });
    const bundle = expect.stringMatching(/^[0-9a-f]{64}$/) as string;
    expect(await digests()).toEqual([
      bundle,
      "spec.source.helm.valuesFiles[0]: web/templates is not in this commit, or is no file",
    ]);
    // A fence that was there at the start, and cannot be started now.
    await rm(unshare);
    await kitchen.commit({ "plain/b.yaml": configMap("b", {}), "fleet/web.yaml": application("web", { path: "web" }) });
    expect(await digests()).toEqual([bundle, "web could not be rendered (ENOENT); the hub's log says more"]);
    await writeFile(unshare, '#!/bin/sh\nexec /usr/bin/unshare "$@"\n', { mode: 0o755 });
    kitchen.clock.nowMs += 30_000;
    expect(await decided()).toEqual([bundle, bundle]);
  });

  test("the same folder at another revision, or under another name of an environment, is not rendered again", async () => {
    await kitchen.commit({
      ...environments,
      "fleet/s.yaml": environment("staging", { follow: "main" }),
      ...clusters(1),
      ...clusters(1, "staging"),
      "fleet/a.yaml": application("a", { path: "apps/a" }, ["prod", "staging"]),
      "apps/a/x.yaml": configMap("m", {}),
    });
    expect(new Set(await digests()).size).toBe(1);
    expect(kitchen.made.bundles).toEqual(["a"]);
  });
});

describe("parameters in manifests", () => {
  const source = { path: "apps/a", parameters: true };
  const fleet = { ...environments, ...clusters(6), "fleet/a.yaml": application("a", source) };

  test("are filled in for each cluster, and what they do not tell apart is rendered once", async () => {
    await kitchen.commit({
      ...fleet,
      "apps/a/x.yaml": configMap("m", { a: "${environment}", b: "$${environment} $HOME" }),
    });
    expect(new Set(await digests()).size).toBe(1);
    expect(kitchen.made.bundles).toHaveLength(1);
    const [rendered] = kitchen.made.put;
    expect(openBundle(rendered!.slices, rendered!)[0]).toMatchObject({
      data: { a: "prod", b: "${environment} $HOME" },
    });
    kitchen.clear();
    await kitchen.commit({ "apps/a/x.yaml": configMap("m", { region: "${cluster.labels.region}" }) });
    expect(new Set(await digests()).size).toBe(2);
    const made = kitchen.made.bundles.length;
    await kitchen.commit({ "README.md": "changed" });
    expect(new Set(await digests()).size).toBe(2);
    expect(kitchen.made.bundles).toHaveLength(made);
  });

  test("that a cluster has not are an error with file and line, for that cluster alone", async () => {
    const text = `${configMap("m", {})}data:\n  zone: \${cluster.labels.zone}\n`.replace("data: {}\n", "");
    const zoned = { "fleet/c/prod-0.yaml": cluster("prod-0", { env: "prod", zone: "a" }) };
    await kitchen.commit({ ...fleet, ...zoned, "apps/a/x.yaml": text });
    const outcomes = await digests();
    expect(outcomes[0]).toMatch(/^[0-9a-f]{64}$/);
    expect(outcomes[1]).toBe("apps/a/x.yaml:6: ${cluster.labels.zone}: cluster prod-1 has no label zone");
  });

  test("are left alone where nobody asked for them, and refused in a chart", async () => {
    const off = { ...fleet, "fleet/a.yaml": application("a", { path: "apps/a" }) };
    await kitchen.commit({ ...off, "apps/a/x.yaml": configMap("m", { a: "${environment}" }) });
    await render();
    const [rendered] = kitchen.made.put;
    expect(openBundle(rendered!.slices, rendered!)[0]).toMatchObject({ data: { a: "${environment}" } });
    await kitchen.commit({ ...chart, "fleet/a.yaml": application("a", { path: "web", parameters: true }) });
    expect((await digests())[0]).toContain("a chart takes parameters in helm.values");
  });

  test("are filled in what Kustomize built", async () => {
    const files = {
      "apps/a/kustomization.yaml": "resources: [x.yaml]",
      "apps/a/x.yaml": configMap("m", { a: "${cluster.labels.region}" }),
    };
    await kitchen.commit({ ...fleet, ...files });
    expect(new Set(await digests()).size).toBe(2);
  });
});

test("plain manifests: the endings of any case, and the globs of the Application", async () => {
  const source = { path: "apps", include: ["**/*.yaml", "**/*.JSON"], exclude: ["**/test/**", "draft-*"] };
  await kitchen.commit({
    ...environments,
    ...clusters(1),
    "fleet/a.yaml": application("a", source),
    "apps/a.YAML": configMap("not-included", {}),
    "apps/b.yaml": configMap("b", {}),
    "apps/deep/er/c.JSON": '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}',
    "apps/deep/test/d.yaml": configMap("excluded", {}),
    "apps/draft-e.yaml": configMap("excluded-too", {}),
    "apps/README.md": "text",
  });
  await render();
  expect(kitchen.made.put[0]!.keys).toEqual(["/ConfigMap/shop/b", "/ConfigMap/shop/c"]);
  await kitchen.commit({ "fleet/a.yaml": application("a", { path: "apps", exclude: ["**"] }) });
  expect(await digests()).toEqual(["a: spec.source.include and exclude leave no file of its folder"]);
  await kitchen.commit({ "fleet/a.yaml": application("a", { path: "apps" }) });
  await render();
  expect(kitchen.made.put.at(-1)!.keys).toContain("/ConfigMap/shop/not-included");
});

test("a custom kind has a namespace, unless its CRD, its project or the Application says otherwise", async () => {
  const custom = (group: string, kind: string): string =>
    yaml({ apiVersion: `${group}/v1`, kind, metadata: { name: "x" } });
  await kitchen.commit({
    ...environments,
    ...clusters(1),
    "fleet/a.yaml": application("a", { path: "apps", clusterScoped: ["example.dev/Planet"] }),
    "apps/a.yaml": custom("example.dev", "Planet"),
    "apps/b.yaml": custom("example.dev", "Moon"),
    "apps/c.yaml": custom("cert-manager.io", "ClusterIssuer"),
  });
  await render();
  expect(kitchen.made.put[0]!.keys.toSorted()).toEqual([
    "cert-manager.io/ClusterIssuer//x",
    "example.dev/Moon/shop/x",
    "example.dev/Planet//x",
  ]);
});

describe("what was rendered survives a restart", () => {
  const fleet = { ...environments, ...clusters(3), ...chart, "fleet/a.yaml": application("web", { path: "web" }) };

  test("and is put again as it was, with nothing rendered", async () => {
    await kitchen.commit(fleet);
    const before = await digests();
    const [put] = kitchen.made.put;
    kitchen.clear();
    await kitchen.restart();
    await kitchen.commit({ "README.md": "changed" });
    expect(await digests()).toEqual(before);
    expect(kitchen.made).toMatchObject({ bundles: [], tools: [] });
    expect(kitchen.made.put).toHaveLength(1);
    const [again] = kitchen.made.put;
    expect(again!.address).toBe(put!.address);
    expect(openBundle(again!.slices, again!)).toEqual(openBundle(put!.slices, put!));
    expect(kitchen.renders().choice("web", "prod")).toBe("helm (render: auto found web/Chart.yaml)");
  });

  test("and is made again where its file was changed", async () => {
    await kitchen.commit(fleet);
    const before = await digests();
    for (const name of await readdir(kitchen.keptFolder)) await writeFile(join(kitchen.keptFolder, name), "not ours");
    kitchen.clear();
    await kitchen.restart();
    expect(await digests()).toEqual(before);
    expect(kitchen.made.bundles).toEqual(["web"]);
  });

  test("a broker that lost its blobs gets them back without rendering", async () => {
    await kitchen.commit(fleet);
    await render();
    kitchen.clear();
    kitchen.renders().forget();
    await render();
    expect(kitchen.made.bundles).toEqual([]);
    expect(kitchen.made.put).toHaveLength(1);
  });
});
