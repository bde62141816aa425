import { execFile } from "node:child_process";
import { describe, expect, test } from "vitest";
import { isManifest } from "#hub/render/selection.ts";
import { objectsOf } from "#hub/render/objects.ts";
import { canonicalJson, parseJson } from "#proto/json.ts";
import type { JsonObject } from "#proto/object.ts";
import { serverPath } from "#test/harness/servers.ts";

// The oracle: what kubectl itself makes of a manifest, offline.
const head = "apiVersion: example.dev/v1\nkind: X\nmetadata: {name: a, namespace: shop}\n";

type Seen = { readonly objects: JsonObject[] } | { readonly refused: string };

function kubectl(text: string): Promise<Seen> {
  return new Promise((resolve) => {
    const arguments_ = ["label", "--local", "-f", "-", "x=y", "-o", "json"];
    const child = execFile(serverPath("kubectl"), arguments_, { maxBuffer: 2 ** 26 }, (error, stdout, stderr) =>
      resolve(error === null ? { objects: objectsIn(stdout) } : { refused: stderr }),
    );
    child.stdin!.on("error", () => undefined);
    child.stdin!.end(text);
  });
}

/** kubectl prints one object after the other; each begins and ends at the very left. */
const objectsIn = (stdout: string): JsonObject[] =>
  stdout
    .split(/^(?=\{)/m)
    .filter((text) => text.trim() !== "")
    .map((text) => parseJson(text) as JsonObject);

function ours(text: string): Seen {
  try {
    return {
      objects: objectsOf([{ path: "deploy/x.yaml", bytes: Buffer.from(text) }], "shop") as unknown as JsonObject[],
    };
  } catch (error) {
    return { refused: (error as Error).message };
  }
}

/** Without what each takes off or puts on: the oracle's label, and members that are null. */
const shown = (seen: Seen): string =>
  "refused" in seen
    ? `refused: ${seen.refused}`
    : seen.objects
        .map(({ spec, data, kind }) =>
          canonicalJson({ kind, ...(spec !== undefined && { spec }), ...(data !== undefined && { data }) }),
        )
        .join("\n");

const spec = (text: string): string => `${head}spec:\n${text.replaceAll(/^/gm, "  ")}\n`;
const scalars = (...texts: string[]): string => spec(texts.map((text, n) => `v${n}: ${text}`).join("\n"));

describe("reads as kubectl reads", () => {
  test.each<[string, string, string]>([
    [
      "Y1",
      "integers of YAML 1.1, and their signs",
      scalars(
        "0777",
        "0644",
        "0o17",
        "-0o17",
        "+0o17",
        "0x1F",
        "0X1F",
        "0b101",
        "0B1",
        "0O17",
        "1_000",
        "1__0",
        "+1",
        "-0644",
        "0",
        "-0",
        "00",
        "007",
      ),
    ],
    [
      "Y1",
      "what only looks like one",
      scalars("08", "09", "0o8", "0b12", "0xG", "0x", "0b", "1,000", "_1", "1_", "010.5", "0o-7"),
    ],
    [
      "Y2",
      "booleans of YAML 1.1",
      scalars("no", "No", "NO", "nO", "on", "off", "y", "Y", "n", "yes", "Yes", "yEs", "true", "tRue"),
    ],
    [
      "Y2",
      "keys that are booleans, numbers or floats",
      spec("y: 1\nn: 2\n1: a\n0644: b\n1.5: c\n1e3: d\n9007199254740993: e"),
    ],
    [
      "Y3",
      "merges",
      spec(
        'a: &a {x: 1, z: 2}\nb: &b {x: 3, w: 4}\none:\n  <<: *a\n  x: 9\nmany:\n  <<: [*a, *b]\n  v: 5\nquoted:\n  "<<": *a',
      ),
    ],
    [
      "Y4",
      "what is no time and no date",
      scalars("12:30:45", "190:20:30", "12:30:45.5", "2001-01-01", "2001-12-14t21:59:43.10-05:00", "="),
    ],
    [
      "Y5",
      "integers up to int64 exactly",
      scalars(
        "9007199254740993",
        "-9007199254740993",
        "9223372036854775807",
        "-9223372036854775808",
        "0x20000000000001",
        "0777777777777777777777",
        "9_007_199_254_740_993",
      ),
    ],
    [
      "Y5",
      "and beyond it as floats, as every decoder of Kubernetes",
      scalars("9223372036854775808", "18446744073709551615", "18446744073709551616", "123456789012345680000", "1e21"),
    ],
    [
      "Y6",
      "floats",
      scalars(
        "1.5e3",
        "1E3",
        "1e+3",
        ".5",
        "5.",
        "0.1",
        "1.0",
        "-.5e-3",
        "1_0.5",
        "+.5",
        "1e",
        "e3",
        "1e400",
        "4.9e-324",
      ),
    ],
    ["Y8", "aliases within reason", spec("a: &a [1, 2]\nb: [*a, *a]\nc: &c x\nd: *c\ne: &c y\nf: *c")],
    ["Y11", "tags of the core", scalars("!!str 123", '!!int "3"', "!!float 3", '!!bool "true"', "! 12")],
    [
      "Y12",
      "__proto__ and constructor as ordinary keys, also through a merge",
      spec("a: &a {__proto__: {admin: true}, constructor: {b: 2}}\nb: {<<: *a}"),
    ],
    ["Y13", "CRLF", scalars("1", "x").replaceAll("\n", "\r\n")],
    ["Y13", "a byte order mark", `\uFEFF${scalars("1")}`],
    [
      "Y13",
      "empty documents, comments alone, and a trailing `...`",
      `---\n---\n# only this\n---\n${scalars("1")}...\n`,
    ],
    [
      "Y13",
      "a comment behind the separator",
      `${scalars("1")}--- # the next\n${scalars("2").replace("name: a", "name: b")}`,
    ],
    [
      "Y13",
      "JSON",
      '{\n\t"apiVersion": "example.dev/v1",\n\t"kind": "X", "metadata": {"name": "a", "namespace": "shop"}, "spec": {"a": 9007199254740993, "b": 1e3, "c": "\\u00e9\\/\\ud83d\\ude00"}\n}\n',
    ],
    [
      "Y13",
      "objects of JSON one after another",
      `${["a", "b", "c"].map((name) => JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace: "shop" }, data: { x: '}"{\n' } }, null, 1)).join("\n")}\n`,
    ],
    ["Y13", "tabs where they may stand", spec("a:\t1\nb: {\n\tc: 1}")],
    [
      "Y13",
      "brackets and quotation marks that go on at the very left",
      `${head}spec: {\n"a": [1,\n2], "b": "x\ny"\n}\n`,
    ],
    [
      "Y13",
      "5,000 documents",
      Array.from(
        { length: 5_000 },
        (_one, n) => `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a${n}, namespace: shop}\ndata: {n: "${n}"}\n`,
      ).join("---\n"),
    ],
    ["Y13", "block scalars", spec("a: |\n  x\n  ---\n  y\nb: >-\n  x\n  y\nc: |+\n  x\n\nd: |2\n    x")],
    [
      "Y14",
      "Lists",
      "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop}, data: {a: b}}\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: b, namespace: shop}}\n",
    ],
    [
      "Y14",
      "typed Lists, whose items need no kind",
      "apiVersion: v1\nkind: ConfigMapList\nitems:\n- metadata: {name: a, namespace: shop}\n  data: {a: b}\n",
    ],
    [
      "Y14",
      "whatever has items",
      `apiVersion: example.dev/v1\nkind: X\nmetadata: {name: a, namespace: shop}\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: b, namespace: shop}}\n`,
    ],
    ["Y14", "a List of nothing", "apiVersion: v1\nkind: List\nitems: []\n"],
  ])("%s: %s", async (_row, _name, text) => {
    const theirs = await kubectl(text);
    expect(theirs).not.toHaveProperty("refused");
    expect(shown(ours(text))).toBe(shown(theirs));
  });
});

const bomb = [
  "a0: &a0 [x,x,x,x,x,x,x,x,x]",
  ...Array.from(
    { length: 8 },
    (_one, n) => `a${n + 1}: &a${n + 1} [${Array.from({ length: 9 }, () => `*a${n}`).join(",")}]`,
  ),
].join("\n");
const longAlias = `a: &a ${"x".repeat(500_000)}\nb: [${Array.from({ length: 200 }, () => "*a").join(", ")}]`;
const manifest = (kind: string, name: string, apiVersion = "v1"): string =>
  `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: ${name}, namespace: shop}\n`;

describe("refuses, naming file, line and field", () => {
  // What kubectl does is said where it is not an error too: we refuse what it would silently read otherwise.
  test.each<[string, string, string, RegExp, "refuses" | "reads" | "never ends"]>([
    [
      "Y3",
      "a merge behind other keys, which kubectl lets win",
      spec("a: &a {x: 1}\nb:\n  x: 5\n  <<: *a"),
      /^deploy\/x\.yaml:8: has a << that is not the first key/,
      "reads",
    ],
    ["Y3", "a merge of no mapping", spec("b:\n  <<: 3"), /^deploy\/x\.yaml:6: /, "refuses"],
    [
      "Y6",
      "not a number",
      scalars("1", ".nan"),
      /^deploy\/x\.yaml:6: spec\.v1 is \.nan or \.inf, which is not a JSON number/,
      "refuses",
    ],
    ["Y6", "infinity", scalars("-.inf"), /^deploy\/x\.yaml:5: spec\.v0 is/, "refuses"],
    [
      "Y7",
      "a key that stands twice, of which kubectl takes the last",
      spec("a: 1\nb: 2\na: 3"),
      /^deploy\/x\.yaml:7: duplicated mapping key/,
      "reads",
    ],
    [
      "Y7",
      "two keys that YAML reads as one",
      spec('y: 1\n"true": 2'),
      /^deploy\/x\.yaml:6: duplicated mapping key/,
      "reads",
    ],
    [
      "Y8",
      "an alias bomb",
      spec(bomb),
      /^deploy\/x\.yaml:\d+: spec\.a\d\S* holds more than 1000000 values once its aliases are followed/,
      "never ends",
    ],
    [
      "Y8",
      "a few aliases of a long text",
      spec(longAlias),
      /^deploy\/x\.yaml:6: spec\.b\[\d+\] holds more than 16 MiB of text/,
      "never ends",
    ],
    [
      "Y9",
      "a value inside itself",
      spec("a: &a {b: *a}"),
      /^deploy\/x\.yaml:5: spec\.a\.b holds an alias to a value that holds the alias/,
      "refuses",
    ],
    [
      "Y10",
      "depth without end",
      spec(`a: ${"[".repeat(20_000)}`),
      /^deploy\/x\.yaml:5: nesting exceeded/,
      "never ends",
    ],
    [
      "Y11",
      "a tag of its own, which kubectl drops",
      scalars("!foo x"),
      /^deploy\/x\.yaml:5: unknown scalar tag !<!foo>/,
      "reads",
    ],
    ["Y11", "a tag of another language", scalars("!!js/function x"), /^deploy\/x\.yaml:5: unknown scalar tag/, "reads"],
    ["Y11", "binary text", scalars("!!binary aGk="), /^deploy\/x\.yaml:5: unknown scalar tag/, "reads"],
    [
      "Y13",
      "tabs as indentation",
      `${head}spec:\n\ta: 1\n`,
      /^deploy\/x\.yaml:5: tab characters must not be used in indentation/,
      "refuses",
    ],
    [
      "Y13",
      "what follows `...`, which kubectl leaves out",
      `${scalars("1")}...\n${scalars("2")}`,
      /^deploy\/x\.yaml:1: holds more after the `\.\.\.`/,
      "reads",
    ],
    [
      "Y13",
      "a mistake in the second of two objects of JSON, at its own line",
      `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}\n{\n"kind": "ConfigMap",\n"metadata": {}}\n`,
      /^deploy\/x\.yaml:2: apiVersion is missing/,
      "reads",
    ],
    ["Y13", "a key that is null", spec("~: 1"), /^deploy\/x\.yaml:5: has a key that is null/, "refuses"],
    ["Y13", "a key that is a list", spec("? [a]\n: 1"), /^deploy\/x\.yaml:\d+: .*complex keys/, "refuses"],
    [
      "Y13",
      "half of a character",
      scalars('"\\ud83d"'),
      /^deploy\/x\.yaml:5: spec\.v0 holds half of a character/,
      "refuses",
    ],
    [
      "Y13",
      "a NEL character, which kubectl reads as the end of a line",
      scalars('"x\u0085y"'),
      /^deploy\/x\.yaml:5: holds a NEL character/,
      "reads",
    ],
    ["Y13", "control characters", scalars('"x\u0001y"'), /^deploy\/x\.yaml:5: /, "refuses"],
    [
      "Y14",
      "a List inside a List",
      `apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: List\n  items: []\n`,
      /^deploy\/x\.yaml:4: items\[0\] is a List inside a List/,
      "refuses",
    ],
    [
      "Y14",
      "items that are no objects",
      `${manifest("X", "a", "example.dev/v1")}items: [a, b]\n`,
      /^deploy\/x\.yaml:4: items\[0\] must be a mapping/,
      "refuses",
    ],
    [
      "Y14",
      "an item without a name, in its own line",
      `apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n- apiVersion: v1\n  kind: ConfigMap\n  metadata:\n    labels: {}\n`,
      /^deploy\/x\.yaml:7: items\[1\]\.metadata\.name is missing/,
      "reads",
    ],
    [
      "Y15",
      "one object twice",
      `${manifest("ConfigMap", "a")}---\n${manifest("ConfigMap", "a")}`,
      /^deploy\/x\.yaml:4: ConfigMap shop\/a is also in deploy\/x\.yaml:1/,
      "reads",
    ],
    [
      "Y15",
      "one object under two versions",
      `${manifest("Deployment", "a", "apps/v1")}---\n${manifest("Deployment", "a", "apps/v1beta1")}`,
      /^deploy\/x\.yaml:4: Deployment shop\/a is also in/,
      "reads",
    ],
    [
      "Y2",
      "a label that YAML reads as a boolean",
      "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  labels:\n    a: b\n    enabled: on\n",
      /^deploy\/x\.yaml:7: metadata\.labels\.enabled must be a string, and YAML reads the boolean true: put it in quotes/,
      "refuses",
    ],
    [
      "Y2",
      "data of a ConfigMap that YAML reads as a number",
      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  mode: 0644\n",
      /^deploy\/x\.yaml:5: data\.mode must be a string, and YAML reads the number 420/,
      "reads",
    ],
  ])("%s: %s", async (_row, _name, text, message, theirs) => {
    const seen = ours(text);
    expect(shown(seen)).toMatch(/^refused: /);
    expect((seen as { refused: string }).refused).toMatch(message);
    if (theirs !== "never ends") expect("refused" in (await kubectl(text)) ? "refuses" : "reads").toBe(theirs);
  });

  test("Y13: text that is not UTF-8, in whichever spelling of its extension", () => {
    expect(["a.yaml", "a.yml", "a.YAML", "a.Yml", "a.json", "a.JSON"].every((path) => isManifest({ path }))).toBe(true);
    const bytes = Buffer.concat([Buffer.from("a: "), Buffer.from([0xff])]);
    expect(() => objectsOf([{ path: "deploy/x.YML", bytes }], "shop")).toThrow("deploy/x.YML:1: is not UTF-8 text");
  });

  test("Y8, Y10: bombs are refused in little time and memory", () => {
    const started = process.cpuUsage();
    for (const text of [
      spec(bomb),
      spec(longAlias),
      spec(`a: ${"[".repeat(500_000)}`),
      spec(`a: ${"{a: ".repeat(100_000)}`),
      `${head}spec: [\n${"1,\n".repeat(200_000)}]\n`,
    ])
      expect(shown(ours(text))).toMatch(/^refused: /);
    const { user } = process.cpuUsage(started);
    expect(user / 1e6).toBeLessThan(20);
  });
});
