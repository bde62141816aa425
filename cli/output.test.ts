import { expect, test } from "vitest";
import { parse } from "yaml";
import type { CliConfig } from "#cli/config.ts";
import { age, parseFormat, render, symbol, table } from "#cli/output.ts";

const plain: CliConfig = { hub: "", token: undefined, colour: false, unicode: true, width: undefined };

test("columns are as wide as their widest cell, and no line ends in blanks", () => {
  expect(
    table(
      ["NAME", "STATE"],
      [
        ["eu-1", "Connected"],
        ["a-long-name", ""],
      ],
      undefined,
    ),
  ).toBe("NAME         STATE\neu-1         Connected\na-long-name\n");
});

test("a narrow terminal loses the right end of a line, a pipe loses nothing", () => {
  const rows = [["eu-1", "registry.example/web:2.9.1 not found"]];
  expect(table(["NAME", "REASON"], rows, 14)).toBe("NAME  REASON\neu-1  registr…\n");
  expect(table(["NAME", "REASON"], rows, undefined)).toContain("2.9.1 not found");
});

test("on a narrow terminal the widest columns give way, and the last one stays in sight", () => {
  const rows = [["4m", "Deployment shop/web", "spec.replicas  3 → 9", "healed in 38ms"]];
  expect(table(["SEEN", "OBJECT", "FIELD", "STATE"], rows, 50)).toBe(
    "SEEN  OBJECT          FIELD          STATE\n4m    Deployment sh…  spec.replica…  healed in 38…\n",
  );
});

test("colours do not count as width, and a cell that is cut has none left to run over", () => {
  const red = symbol({ ...plain, colour: true }, "Failed", "2");
  expect(red).toBe("\u001b[31m✖ 2\u001b[0m");
  expect(table(["H", "X"], [[red, "y"]], undefined)).toBe(`H    X\n${red}  y\n`);
  expect(table(["H", "X"], [[red, "a long reason"]], 14)).toBe(`H    X\n${red}  a long r…\n`);
  expect(table(["H", "X"], [[red, "a reason"]], 8)).toBe("H    X\n✖ 2  a …\n");
});

test("strangers' words neither colour a terminal nor move its cursor, and our own signs keep their colours", () => {
  const red = symbol({ ...plain, colour: true }, "Failed", "2");
  const evil = "\u001b[2J\u001b[8mhidden\u001b[0m\r\u009b1A\u202eback\nnext";
  expect(table(["H", "SUBJECT"], [[`${red}  ${red}`, evil]], undefined)).toBe(
    `H         SUBJECT\n${red}  ${red}   [2J [8mhidden [0m 1A back next\n`,
  );
  expect(table(["SUBJECT"], [[`\u001b[8mhidden\u001b[0m`]], undefined)).toBe("SUBJECT\n [8mhidden [0m\n");
});

test("a state is a word's sign, and letters where the terminal has no UTF-8", () => {
  const words = ["Current", "InProgress", "Failed", "Drifted", "Unknown"] as const;
  expect(words.map((word) => symbol(plain, word))).toEqual(["✔", "◐", "✖", "▲", "?"]);
  expect(words.map((word) => symbol({ ...plain, unicode: false }, word))).toEqual(["ok", "..", "!!", "~", "?"]);
});

test.each([
  [-5, "0s"],
  [4_000, "4s"],
  [59_600, "1m"],
  [180_000, "3m"],
  [7_200_000, "2h"],
  [86_400_000, "24h"],
  [5 * 86_400_000, "5d"],
])("%i ms are %s", (ms, text) => {
  expect(age(ms)).toBe(text);
});

test("one answer in every form that is asked for", () => {
  const data = { rows: [{ cluster: "eu-1" }] };
  const as = (format: string): string =>
    render(
      parseFormat(format),
      data,
      () => "TABLE\n",
      () => ["cluster/eu-1"],
    );
  expect(JSON.parse(as("json"))).toEqual(data);
  expect(parse(as("yaml"))).toEqual(data);
  expect([as("table"), as("wide"), as("name")]).toEqual(["TABLE\n", "TABLE\n", "cluster/eu-1\n"]);
  expect(() => parseFormat("xml")).toThrow("-o xml is no format");
});
