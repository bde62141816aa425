import { describe, expect, test } from "vitest";
import { fillParameters } from "./parameters.ts";

const parameters = { environment: "prod", "cluster.name": "eu-1", "cluster.labels.region": "eu" };
const fill = (text: string | Uint8Array) => {
  const { files, used } = fillParameters([{ path: "deploy/a.yaml", bytes: Buffer.from(text) }], parameters);
  return { text: Buffer.from(files[0]!.bytes).toString(), used };
};

test("fills what it is given, and says what that was", () => {
  expect(fill("a: ${environment}\nb: ${cluster.labels.region}-${cluster.name}-${environment}\n# ü")).toEqual({
    text: "a: prod\nb: eu-eu-1-prod\n# ü",
    used: ["cluster.labels.region", "cluster.name", "environment"],
  });
});

test.each([
  "echo $HOME ${HOME} ${HOME:-/root} $(date) $$ $1 ${1} ${#a} ${a[0]} ${cluster} ${environments} ${ENVIRONMENT}",
  "regex: ^a$",
  "args: [$(POD_NAME)]",
  "jsonpath: '{$.a}'",
  "unclosed: ${environment",
  "two lines: ${\nenvironment}",
  "dollar at the end: $",
  "{{ $labels.instance }} ${{ x }}",
])("leaves what a script means: %s", (text) => {
  expect(fill(text)).toEqual({ text, used: [] });
});

test.each([
  ["$${environment}", "${environment}"],
  ["$$${environment}", "$${environment}"],
  ["$${HOME}", "${HOME}"],
  ["$$", "$$"],
  ["$${cluster.labels.none}", "${cluster.labels.none}"],
])("reads the escape %s as %s", (text, plain) => {
  expect(fill(text).text).toBe(plain);
});

describe("refuses, naming file and line", () => {
  test.each([
    ["a: 1\n\nb: ${cluster.labels.zone}", "deploy/a.yaml:3: ${cluster.labels.zone}: cluster eu-1 has no label zone"],
    ["${cluster.nam}", "deploy/a.yaml:1: ${cluster.nam} is no parameter: there are"],
    ["a: ${environment:-dev}", "${environment:-dev} is no parameter"],
    ["a: ${cluster.labels.__proto__}", "has no label __proto__"],
    ["a: ${cluster.labels.region:-eu}", "has no label region:-eu"],
  ])("%s", (text, message) => {
    expect(() => fill(text)).toThrow(message);
  });
});

test("leaves bytes that are no text to their reader", () => {
  const bytes = Buffer.from([0x61, 0xff, 0x24, 0x7b, 0x7d]);
  expect(fillParameters([{ path: "a", bytes }], parameters).files[0]!.bytes).toEqual(bytes);
});
