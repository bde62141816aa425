import { expect, test } from "vitest";
import { doubtsInSource } from "#hub/render/source-doubts.ts";

const doubts = (text: string, path = "base/web.yaml"): string[] => doubtsInSource({ path, bytes: Buffer.from(text) });
const map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

test("numbers that Kustomize reads as others are doubted, each at its line", () => {
  expect(doubts(`${map}data: {}\n---\nkind: Deployment\nspec:\n  replicas: 010\n  version: 1.10 # newest\n`)).toEqual([
    'base/web.yaml:8: spec.replicas is 010, which is read as the number 8: write that, or "010" for the text',
    'base/web.yaml:9: spec.version is 1.10, which is read as the number 1.1: write that, or "1.10" for the text',
  ]);
  expect(doubts("- {op: replace, path: /spec/replicas, value: 1_0}\n")).toHaveLength(1);
  expect(doubts("replicas: [{name: web, count: 010}]\n", "base/kustomization.yaml")).toHaveLength(1);
});

test("words are not: they are the text that stands there", () => {
  expect(doubts(`${map}immutable: off\nspec: {country: no, y: [on]}\n`)).toEqual([]);
});

test("nothing is said of what may be a Secret's, nor of what is no YAML", () => {
  for (const text of [
    "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {pin: 01234}\n",
    '{"kind":"Secret","data":{pin: 01234}}\n',
    "metadata: {name: a}\ndata: {pin: 01234}\n",
    "# of the database\n- op: add\n  path: /stringData/pin\n  value: 01234\n",
    "[{op: add, path: /data/pin, value: 01234}]",
    `${map}a: 010\nb: [\n`,
  ])
    expect(doubts(text)).toEqual([]);
});

test("a large file without any is not parsed, and one of many stops soon", () => {
  const line = "0123456789abcdef ".repeat(1_000);
  const began = performance.now();
  expect(doubts(`${map}text: |\n${`  ${line}\n`.repeat(1_000)}`)).toEqual([]);
  expect(performance.now() - began).toBeLessThan(5_000);
  expect(doubts(`${map}list: [${"010, ".repeat(1_000)}]\n`)).toHaveLength(20);
});
