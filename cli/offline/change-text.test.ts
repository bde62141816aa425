import { expect, test } from "vitest";
import { changesText } from "#cli/offline/change-text.ts";
import { compareObjects } from "#cli/offline/compare.ts";
import { compareLines } from "#cli/offline/line-diff.ts";
import type { KubeObject } from "#proto/object.ts";

const configMap = (name: string, data: Record<string, string>): KubeObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "shop" },
  data,
});
const shown = (before: KubeObject[], after: KubeObject[], isColoured = false): string =>
  changesText(compareObjects(before, after), isColoured);

test("a text of several lines is told by the lines that differ, wherever in it they stand", () => {
  const lines = Array.from({ length: 200 }, (_, n) => `line ${n}`);
  const changed = lines.with(150, "another").toSpliced(20, 1);
  const [before, after] = [lines, changed].map((text) => [configMap("settings", { "app.conf": text.join("\n") })]);
  expect(shown(before!, after!)).toBe(
    [
      "~ ConfigMap shop/settings",
      '    data["app.conf"]  line 21',
      "      - line 20",
      '    data["app.conf"]  line 150',
      "      - line 150",
      "      + another",
      "",
    ].join("\n"),
  );
});

test("a long value is shown where it begins to differ", () => {
  const long = "x".repeat(500);
  const text = shown([configMap("a", { key: `${long}1${long}` })], [configMap("a", { key: `${long}2${long}` })]);
  expect(text).toMatch(/data\.key {2}…x{40}1x+… → …x{40}2x+…\n$/);
  expect(text.length).toBeLessThan(400);
});

test("what is new and what is gone is shown with what it holds, within bounds", () => {
  expect(shown([configMap("old", { a: "1" })], [configMap("new", { b: "2" })])).toBe(
    '+ ConfigMap shop/new\n    + data.b  "2"\n- ConfigMap shop/old\n    - data.a  "1"\n',
  );
  const many = Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`k${n}`, ""]));
  expect(shown([], [configMap("many", many)])).toMatch(/\n {4}… and 30 more fields: -o json shows them\n$/);
});

test("colours are for a terminal alone, and a stranger's text brings none of its own", () => {
  const evil = "\u001b[2Jgone";
  const [before, after] = [[configMap("a", { b: "1" })], [configMap("a", { b: evil })]] as const;
  expect(shown([...before], [...after])).not.toContain("\u001b");
  expect(shown([...before], [...after], true)).toBe(
    '\u001b[33m~ ConfigMap shop/a\u001b[0m\n    data.b  \u001b[31m"1"\u001b[0m → \u001b[32m"\\u001b[2Jgone"\u001b[0m\n',
  );
});

test("texts that have nothing in common are one change, also when they are large", () => {
  const [a, b] = ["a", "b"].map((letter) => Array.from({ length: 3_000 }, (_, n) => `${letter}${n}`).join("\n"));
  expect(compareLines(a!, b!)).toHaveLength(1);
  expect(compareLines("a\nb\nc", "a\nb\nc")).toEqual([]);
  expect(compareLines("", "a")).toEqual([{ line: 1, removed: [""], added: ["a"] }]);
});
