import fc from "fast-check";
import { parse } from "yaml";
import { expect, test } from "vitest";
import { readKubeYaml } from "#hub/render/kube-yaml.ts";
import { yamlText } from "#lib/yaml-text.ts";

// What people pipe into kubectl: a text must stay a text there.
const words =
  "no|y|on|Off|NULL|~|0644|1_000|0b11|0o17|12:30|190:20:30|2001-01-01|1.10|12e4567|.inf|.|<<|=|true|| a|a: b|- x|a\nb\n|\n|+1|-0|0x1F|1.|!x|&a|*a|%a|@a|`a|>|a\tb|---|...|--- a|a #b|#c|?|? a|:|k\r\nv|\u0085|a\u2028b|\ufeffx|\u0007|0888|08|1__0|{a}|[a]|'|\"|\\".split(
    "|",
  );
const read = (value: object): unknown => readKubeYaml("x.yaml", Buffer.from(yamlText(value)))[0]!.value;

test("every text is the same text for kubectl, as a value and as a key, and for YAML 1.2", () => {
  const value = {
    values: Object.fromEntries(words.map((word, n) => [`k${n}`, word])),
    keys: Object.fromEntries(words.map((word) => [word, "v"])),
    list: words,
  };
  expect(read(value)).toEqual(value);
  expect(parse(yamlText(value))).toEqual(value);
});

test("numbers, also those beyond 2^53, booleans and nothing stay what they are", () => {
  const value = { n: [1, 1.5, 9007199254740993n, -1, 0.1], b: [true, false], empty: [[], {}, ""], nothing: null };
  expect(read(value)).toEqual(value);
});

test("any object comes back as it was", () => {
  const text = fc.oneof(
    fc.string({ unit: "grapheme" }),
    fc.string({ unit: fc.constantFrom(...Array.from("0123456789.eE+-_:xob yn~<=#'\"\n\t")) }),
    fc.constantFrom(...words),
  );
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof({ maxDepth: 4 }, text, fc.integer(), fc.boolean(), fc.array(tie("tree")), tie("object")),
    object: fc.dictionary(
      text.filter((key) => key !== "__proto__"),
      tie("tree"),
    ),
  }));
  fc.assert(
    fc.property(tree, (inner) => {
      expect(read({ inner })).toEqual({ inner });
    }),
    { numRuns: 500 },
  );
});
