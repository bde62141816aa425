import fc from "fast-check";
import { expect, test } from "vitest";
import { delimiter, flush, NotPktLines, pktLine, readPktLines } from "#hub/git/pkt-line.ts";

test("what is written is read again, whatever the text", () => {
  const line = fc.string({ unit: "binary", maxLength: 20 }).filter((text) => !text.endsWith("\n"));
  fc.assert(
    fc.property(fc.array(line, { maxLength: 5 }), (lines) => {
      expect(readPktLines(Buffer.from(`${lines.map(pktLine).join("")}${flush}`))).toEqual([...lines, null]);
    }),
  );
});

test("a delimiter is passed over, and an empty answer has no lines", () => {
  expect(readPktLines(Buffer.from(`${pktLine("a")}${delimiter}${pktLine("b")}`))).toEqual(["a", "b"]);
  expect(readPktLines(Buffer.alloc(0))).toEqual([]);
});

test.each(["<html>", "0009", "00", "fffeshort"])("%j is no answer of a Git server", (text) => {
  expect(() => readPktLines(Buffer.from(text))).toThrow(NotPktLines);
});
