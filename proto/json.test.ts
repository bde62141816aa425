import fc from "fast-check";
import { expect, test } from "vitest";
import { canonicalJson, parseJson, stringifyJson } from "#proto/json.ts";

const value = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.string(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => (Object.is(number, -0) ? 0 : number)),
    fc.bigInt({ min: 2n ** 53n + 1n, max: 2n ** 63n }),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(fc.string(), tie("value"), { maxKeys: 4, noNullPrototype: true }),
  ),
})).value;

test("keeps an int64 of a manifest exactly, where JSON.parse would change its last digit", () => {
  expect(parseJson('{"a":9007199254740993,"b":1.5,"c":"12345678901234567890"}')).toEqual({
    a: 9007199254740993n,
    b: 1.5,
    c: "12345678901234567890",
  });
});

test("reads back what it wrote", () => {
  fc.assert(
    fc.property(value, (any) => {
      expect(canonicalJson(parseJson(stringifyJson(any)))).toBe(canonicalJson(any));
    }),
  );
});

test("writes equal values alike, whatever the order of their keys", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.integer(), { noNullPrototype: true }), (members) => {
      const reversed = Object.fromEntries(Object.entries(members).reverse());
      expect(canonicalJson(reversed)).toBe(canonicalJson(members));
    }),
  );
});

test("keeps a __proto__ key as an ordinary member", () => {
  expect(canonicalJson(parseJson('{"__proto__":{"admin":true}}'))).toBe('{"__proto__":{"admin":true}}');
});

test("refuses what is no JSON", () => {
  expect(() => canonicalJson({ a: Number.NaN })).toThrow("NaN is not a JSON number");
});
