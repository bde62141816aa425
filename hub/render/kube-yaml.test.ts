import { describe, expect, test } from "vitest";
import { readKubeYaml, YamlProblem } from "#hub/render/kube-yaml.ts";

const read = (text: string | Uint8Array) => readKubeYaml("deploy/web.yaml", Buffer.from(text));
const value = (scalar: string) => (read(`a: ${scalar}`)[0]!.value as { a: unknown }).a;

describe("reads scalars as kubectl 1.36 reads them", () => {
  test.each([
    ["0644", 420],
    ["0o17", 15],
    ["0b101", 5],
    ["1_000", 1000],
    ["yes", true],
    ["off", false],
    ["y", true],
    ["12:30:45", "12:30:45"],
    ["2001-01-01", "2001-01-01"],
    ["9007199254740993", 9007199254740993n],
    ["-9223372036854775808", -9223372036854775808n],
    ["1.5e3", 1500],
    ["~", null],
    ['"no"', "no"],
    ["100m", "100m"],
  ])("%s", (scalar, expected) => {
    expect(value(scalar)).toEqual(expected);
  });
});

test("merges with <<", () => {
  expect(read("base: &b {x: 1}\nown:\n  <<: *b\n  z: 2")[0]!.value).toMatchObject({ own: { x: 1, z: 2 } });
});

test("reads a key `y` as kubectl does, surprising as that is", () => {
  expect(read("y: 1\nn: 2")[0]!.value).toEqual({ true: 1, false: 2 });
});

test("cuts documents as kubectl does, and knows where each begins", () => {
  const text = "\uFEFF# first\na: 1\r\n---\n# only a comment\n---\n\n--- # named\nb: |\n  x\n  ---\n...\n";
  expect(read(text).map(({ value, line }) => ({ value, line }))).toEqual([
    { value: { a: 1 }, line: 1 },
    { value: { b: "x\n---\n" }, line: 7 },
  ]);
});

test("reads JSON", () => {
  expect(read('{"a": [1, true, null]}')[0]!.value).toEqual({ a: [1, true, null] });
});

test("keeps a __proto__ key an ordinary key", () => {
  const document = read("__proto__: {admin: true}")[0]!.value as object;
  expect(Object.keys(document)).toEqual(["__proto__"]);
  expect((document as { admin?: boolean }).admin).toBeUndefined();
});

describe("refuses, naming file and line", () => {
  const bomb = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"];
  for (let n = 1; n < 9; n += 1)
    bomb.push(`a${n}: &a${n} [${Array.from({ length: 9 }, () => `*a${n - 1}`).join(",")}]`);
  test.each([
    ["a key that stands twice", "a: 1\n---\nb: 1\nb: 2", /^deploy\/web\.yaml:4: .*duplicate/i],
    ["a tab as indentation", "a:\n\tb: 1", /^deploy\/web\.yaml:2: /],
    ["a number that JSON has not", "a: .nan", /not a JSON number/],
    ["infinity", "a: -.inf", /not a JSON number/],
    ["an unknown tag", "a: !foo x", /tag/],
    ["a script", "a: !!js/function x", /tag/],
    ["a value inside itself", "a: &a [*a]", /holds/],
    ["an alias bomb", bomb.join("\n"), /more than 1000000 values/],
    ["depth without end", "[".repeat(20_000), /deploy\/web\.yaml:1: .*(depth|nest)/i],
  ])("%s", (_name, text, message) => {
    expect(() => read(text)).toThrow(YamlProblem);
    expect(() => read(text)).toThrow(message);
  });

  test("text that is not UTF-8", () => {
    expect(() => read(new Uint8Array([0x61, 0xff]))).toThrow("deploy/web.yaml:1: is not UTF-8 text");
  });
});
