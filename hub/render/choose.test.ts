import { expect, test } from "vitest";
import { chooseRenderer } from "./choose.ts";

test.each([
  [["a/deploy.yaml", "a/kustomization.yaml"], "kustomize", "render: auto found a/kustomization.yaml"],
  [["a/Kustomization"], "kustomize", "render: auto found a/Kustomization"],
  [["a/Chart.yaml", "a/charts/b/Chart.yaml"], "helm", "render: auto found a/Chart.yaml"],
  [["a/deploy.yaml", "a/chart.yaml.txt"], "plain", "found neither"],
])("%j is for %s, and it says why", (paths, renderer, because) => {
  const chosen = chooseRenderer("auto", "a", paths);
  expect(chosen.renderer).toBe(renderer);
  expect(chosen.because).toContain(because);
});

test("what people say goes before what lies there", () => {
  expect(chooseRenderer("plain", "a", ["a/kustomization.yaml"]).renderer).toBe("plain");
});

test("a folder of both, or with a tool's folder below it, is refused instead of guessed at", () => {
  expect(() => chooseRenderer("auto", "a", ["a/Chart.yaml", "a/kustomization.yaml"])).toThrow("say render: kustomize");
  expect(() => chooseRenderer("auto", "", ["x.yaml", "b/Chart.yaml"])).toThrow("give b an Application of its own");
});
