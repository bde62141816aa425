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

describe("doubts what is read otherwise than it was probably meant, naming file, line and field", () => {
  const doubts = (text: string): readonly string[] => read(text).flatMap((document) => document.doubts);
  test.each([
    ["a: no", 'deploy/web.yaml:1: a is no, which is read as false: write false, or "no" for the text'],
    [
      "spec:\n  - on: x\n  - b: ON",
      'deploy/web.yaml:2: spec[0] has a key on, which is read as "true": put it in quotes',
    ],
    ["y: 1", 'deploy/web.yaml:1: has a key y, which is read as "true": put it in quotes'],
    [
      "a:\n  port: 0777",
      'deploy/web.yaml:2: a.port is 0777, which is read as the number 511: write that, or "0777" for the text',
    ],
    [
      "a: -0644",
      'deploy/web.yaml:1: a is -0644, which is read as the number -420: write that, or "-0644" for the text',
    ],
    [
      "a: 1_000",
      'deploy/web.yaml:1: a is 1_000, which is read as the number 1000: write that, or "1_000" for the text',
    ],
    [
      "version: 1.10",
      'deploy/web.yaml:1: version is 1.10, which is read as the number 1.1: write that, or "1.10" for the text',
    ],
    [
      "commit: 12e4567",
      'deploy/web.yaml:1: commit is 12e4567, which is read as the number: write it out, or "12e4567" for the text',
    ],
    ["x: 1\n---\na: [yes]", 'deploy/web.yaml:3: a[0] is yes, which is read as true: write true, or "yes" for the text'],
  ])("%j", (text, first) => {
    expect(doubts(text)[0]).toBe(first);
  });

  test("and nothing else", () => {
    const text = `a: "no"\nb: true\nc: 0\nd: 10\ne: 1.5\nf: 12:30\ng: 'y'\nh: nope\ndefaultMode: 0644\nitems: [{mode: 0400}]\nj: |\n  no\nk: !!str no\nl: -1\nm: 100m\n`;
    expect(doubts(text)).toEqual([]);
    expect(doubts(Array.from({ length: 100 }, (_, n) => `a${n}: no`).join("\n"))).toHaveLength(20);
  });
});
