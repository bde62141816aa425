import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { openBundle } from "#proto/bundle.ts";
import { createRenderer } from "./renderer.ts";
import { rendererFor } from "./target.ts";

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

test("a folder of Kustomize or Helm is not taken for plain manifests", () => {
  expect(rendererFor(["a/deploy.yaml", "a/kustomization.yaml"])).toBe("kustomize");
  expect(rendererFor(["a/Chart.yaml", "a/templates/x.yaml"])).toBe("helm");
  expect(rendererFor(["a/deploy.yaml", "a/chart.yaml.txt"])).toBe("plain");
});
