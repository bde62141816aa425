import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { openBundle } from "#proto/bundle.ts";
import { createRenderer } from "./renderer.ts";

const file = (path: string, text: string) => ({ path, bytes: Buffer.from(text) });
const settings = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {level: info}\n";

test("gives a sealed bundle that opens to the objects, the same each time", async () => {
  await using renderer = createRenderer(randomBytes(32));
  const target = { application: "shop", files: [file("a.yaml", settings)], namespace: "shop" };
  const [first, second] = await Promise.all([renderer.render(target), renderer.render(target)]);
  if (!first.ok || !second.ok) throw new Error("not rendered");
  expect(second.address).toBe(first.address);
  expect(first.keys).toEqual(["/ConfigMap/shop/settings"]);
  expect(openBundle(first.slices, first)).toMatchObject([{ kind: "ConfigMap", data: { level: "info" } }]);
});

test("names file and line, and goes on with the next target", async () => {
  await using renderer = createRenderer(randomBytes(32), 1);
  const bad = { application: "shop", files: [file("deploy/b.yaml", "kind: [\n")], namespace: "" };
  expect(await renderer.render(bad)).toMatchObject({
    ok: false,
    because: expect.stringContaining("deploy/b.yaml:") as string,
  });
  expect(await renderer.render({ ...bad, files: [] })).toEqual({
    ok: false,
    because: "shop: its folder holds no manifest",
  });
  expect(
    await renderer.render({ application: "shop", files: [file("a.yaml", settings)], namespace: "x" }),
  ).toMatchObject({ ok: true });
});

const random = (secret: string) =>
  file(
    "chart/templates/x.yaml",
    `${settings}---\napiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: ${secret}}\n`,
  );

test("refuses content that a second rendering does not repeat, with the line to paste and without the content", async () => {
  await using renderer = createRenderer(randomBytes(32), 1);
  const target = { application: "shop", files: [random("canary1")], namespace: "shop" };
  const outcome = await renderer.render({ ...target, again: [random("canary2")] });
  expect(outcome).toMatchObject({
    ok: false,
    because: expect.stringContaining("once: [{kind: Secret, name: db}]") as string,
  });
  expect(JSON.stringify(outcome)).not.toContain("canary");
  expect(await renderer.render({ ...target, again: target.files })).toMatchObject({ ok: true, objects: 2 });
});

test("keeps a release's hooks with their weights, but not those that run only when it goes or returns", async () => {
  await using renderer = createRenderer(randomBytes(32), 1);
  const hook = (name: string, phases: string): string =>
    `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}, annotations: {helm.sh/hook: "${phases}", helm.sh/hook-weight: "-5", helm.sh/resource-policy: keep}}\n---\n`;
  const text =
    hook("install", "pre-install,pre-delete") +
    hook("delete", "pre-delete, post-delete") +
    hook("back", "post-rollback");
  const target = { application: "shop", files: [file("x.yaml", text)], namespace: "shop" };
  const rendered = await renderer.render({ ...target, isRelease: true });
  if (!rendered.ok) throw new Error(rendered.because);
  expect(openBundle(rendered.slices, rendered)).toMatchObject([
    { metadata: { name: "install", annotations: { "helm.sh/hook-weight": "-5", "helm.sh/resource-policy": "keep" } } },
  ]);
  expect(await renderer.render(target)).toMatchObject({ objects: 3 });
});
