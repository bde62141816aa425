import { expect, test } from "vitest";
import { GitFailed } from "./command.ts";
import { objectParser } from "./object-parser.ts";

const id = (digit: string): string => digit.repeat(40);
const large = 1_000_000;

test("reads objects however the answer is cut, line feeds and missing ones among them", () => {
  const answer = Buffer.from(`${id("a")} blob 4\na\nb\n\n${id("b")}:no such file missing\n${id("c")} tree 0\n\n`);
  const names = [id("a"), `${id("b")}:no such file`, id("c")];
  for (let cut = 0; cut <= answer.length; cut += 1) {
    const parse = objectParser(names, true, large);
    const found = parse(answer.subarray(0, cut)) ?? parse(answer.subarray(cut));
    expect(found).toEqual([
      { id: id("a"), type: "blob", bytes: Buffer.from("a\nb\n") },
      undefined,
      { id: id("c"), type: "tree", bytes: Buffer.alloc(0) },
    ]);
  }
});

test("a name that ends like an answer is no answer", () => {
  const name = `${id("a")}:${id("b")} blob 3 missing`;
  expect(objectParser([name], true, large)(Buffer.from(`${name} missing\n`))).toEqual([undefined]);
});

test("without bytes only lines come", () => {
  const parse = objectParser(["x", "y"], false, large);
  expect(parse(Buffer.from(`${id("a")} commit 250\n`))).toBeUndefined();
  expect(parse(Buffer.from(`${id("b")} blob 99\n`))).toEqual([
    { id: id("a"), type: "commit", bytes: Buffer.alloc(0) },
    { id: id("b"), type: "blob", bytes: Buffer.alloc(0) },
  ]);
});

test.each([
  ["an object that is too large", `${id("a")} blob 11\n`, "has 11 bytes, at most 10 are read"],
  ["another form", `${id("a")} ambiguous\n`, 'cannot read "main:x"'],
  ["a line without an end", "x".repeat(20_000), "a line that does not end"],
  ["more than was asked for", `${id("a")} blob 1\na\n${id("b")}`, "more than it was asked"],
])("refuses %s", (_what, answer, because) => {
  const parse = objectParser(["main:x"], true, 10);
  expect(() => parse(Buffer.from(answer))).toThrow(GitFailed);
  expect(() => objectParser(["main:x"], true, 10)(Buffer.from(answer))).toThrow(because);
});
