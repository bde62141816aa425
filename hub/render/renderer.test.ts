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

test("keeps hooks with their weights, but not those that nobody would ever run, and refuses what is no hook", async () => {
  await using renderer = createRenderer(randomBytes(32), 1);
  const hook = (name: string, phases: string): string =>
    `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}, annotations: {helm.sh/hook: "${phases}", helm.sh/hook-weight: "-5", helm.sh/resource-policy: keep}}\n---\n`;
  const text =
    hook("delete", "pre-delete, post-delete") +
    hook("install", "pre-install,pre-delete") +
    hook("back", "post-rollback");
  const target = { application: "shop", files: [file("x.yaml", text)], namespace: "shop" };
  const rendered = await renderer.render(target);
  if (!rendered.ok) throw new Error(rendered.because);
  expect(openBundle(rendered.slices, rendered)).toMatchObject([
    { metadata: { name: "delete" } },
    { metadata: { name: "install", annotations: { "helm.sh/hook-weight": "-5", "helm.sh/resource-policy": "keep" } } },
  ]);
  const wrong = { ...target, files: [file("x.yaml", hook("typo", "pre-instal"))] };
  expect(await renderer.render(wrong)).toMatchObject({
    ok: false,
    because: "ConfigMap shop/typo: its hook annotations say pre-instal, which is no hook",
  });
});

test("what is created once may be random: it is in the bundle and not in the digest", async () => {
  await using renderer = createRenderer(randomBytes(32), 1);
  const target = { application: "shop", files: [random("first")], namespace: "shop" };
  const once = [{ kind: "Secret", name: "db" }];
  const outcomes = [
    await renderer.render({ ...target, once, again: [random("second")] }),
    await renderer.render({ ...target, once, files: [random("second")] }),
  ];
  const [one, two] = outcomes.map((outcome) => (outcome.ok ? outcome : expect.fail(outcome.because)));
  expect(one!.digest).toBe(two!.digest);
  expect(one!.address).not.toBe(two!.address);
  const passwords = [one!, two!].map((rendered) =>
    openBundle(rendered.slices, rendered).flatMap((object) => (object.kind === "Secret" ? [object["data"]] : [])),
  );
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  expect(passwords).toEqual([[{ password: base64("first") }], [{ password: base64("second") }]]);
  // Its name is of the digest: what is added or taken away is another bundle.
  const without = await renderer.render({ ...target, once, files: [file("chart/templates/x.yaml", settings)] });
  expect(without).not.toMatchObject({ digest: one!.digest });
});
