import fc from "fast-check";
import { stringify } from "yaml";
import { expect, test } from "vitest";
import { objectsOf, type ManifestFile } from "#hub/render/objects.ts";
import { canonicalBundle, digestOf, openBundle, sealBundle } from "#proto/bundle.ts";
import { canonicalJson, stringifyJson } from "#proto/json.ts";
import type { Json, JsonObject } from "#proto/object.ts";

const key = fc.oneof(
  fc.stringMatching(/^[a-zA-Zäß_.\-/]{1,8}$/),
  fc.constantFrom("__proto__", "constructor", "yes", "1", "ключ"),
);
const { value } = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: "small" },
    fc.boolean(),
    fc.string({ unit: "grapheme", maxLength: 12 }),
    fc.constantFrom(
      "no",
      "0644",
      "12:30",
      "2001-01-01",
      "~",
      "",
      " ",
      "1e3",
      "<<",
      "=",
      "- a",
      "a: b",
      "#",
      "\t",
      "x\ny\n",
    ),
    fc.integer(),
    fc
      .bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
      .map((int) => (Number.isSafeInteger(Number(int)) ? Number(int) : int)),
    fc
      .double({ noNaN: true, noDefaultInfinity: true })
      .map((number) => (Object.is(number, -0) || Math.abs(number) > 2 ** 53 ? 0 : number)),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(key, tie("value"), { maxKeys: 3, noNullPrototype: true }) as fc.Arbitrary<Json>,
  ),
}));
const objects = fc.uniqueArray(fc.record({ name: fc.stringMatching(/^[a-z]{1,6}$/), spec: value }), {
  selector: ({ name }) => name,
  minLength: 1,
  maxLength: 6,
});

/** The same members in another order, by a dice of its own. */
function shuffled(any: Json, dice: () => number): Json {
  if (Array.isArray(any)) return any.map((item) => shuffled(item, dice));
  if (any === null || typeof any !== "object") return any;
  const members = Object.entries(any).map(([name, member]) => [dice(), name, shuffled(member, dice)] as const);
  return Object.fromEntries(members.sort(([a], [b]) => a - b).map(([, name, member]) => [name, member]));
}

/** As JSON, as a YAML stream, or inside a List: three ways to write the same. */
function written(documents: readonly Json[], how: number): { name: string; text: string } {
  if (how === 0 && documents.length === 1) return { name: "json", text: stringifyJson(documents[0]) };
  const list = { apiVersion: "v1", kind: "List", items: [...documents] };
  if (how === 1) return { name: "json", text: stringifyJson(list) };
  // The YAML of 1.1 puts in quotes what that version reads as something else, as kubectl does.
  const text = documents.map((document) =>
    stringify(document, { version: "1.1", aliasDuplicateObjects: false, lineWidth: 0 }),
  );
  return { name: "yaml", text: text.join("---\n") };
}

const digest = (files: readonly ManifestFile[]): string => digestOf(canonicalBundle(objectsOf(files, "shop")));

test("the same objects give one digest in any order of objects and keys, cut into any files, as YAML or as JSON", () => {
  fc.assert(
    fc.property(objects, fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })), (specs, rolls) => {
      const dice = (): number => rolls.next().value as number;
      const documents = specs.map(({ name, spec }): JsonObject => ({
        apiVersion: "example.dev/v1",
        kind: "X",
        metadata: { name, labels: { app: name } },
        spec,
      }));
      const one = documents.map((document, n) => ({ path: `${n}.json`, bytes: Buffer.from(stringifyJson(document)) }));
      const files: Json[][] = [[], [], []];
      for (const document of documents.toSorted(() => dice() - 0.5))
        files[Math.floor(dice() * 3) % 3]!.push(shuffled(document, dice));
      const other = files
        .filter((file) => file.length > 0)
        .map((file, n) => {
          const { name, text } = written(file, Math.floor(dice() * 3));
          return { path: `file-${n}.${name}`, bytes: Buffer.from(text) };
        });
      expect(digest(other), other.map(({ bytes }) => bytes.toString()).join("\n===\n")).toBe(digest(one));
    }),
    { numRuns: 300 },
  );
});

test("integers beyond 2^53 are the same in the manifest, the canonical form, and the bundle that an agent opens", () => {
  const ints = [2n ** 53n + 1n, -(2n ** 63n), 2n ** 63n - 1n, 9_007_199_254_740_993n];
  const text = `apiVersion: example.dev/v1\nkind: X\nmetadata: {name: a}\nspec: {ints: [${ints.join(", ")}, 0x20000000000001, 0777777777777777777777]}\n`;
  const read = objectsOf([{ path: "a.yaml", bytes: Buffer.from(text) }], "shop");
  const exact = [...ints, 9_007_199_254_740_993n, 2n ** 63n - 1n];
  expect((read[0] as unknown as { spec: { ints: bigint[] } }).spec.ints).toEqual(exact);
  expect(canonicalJson(read)).toContain(`[${exact.join(",")}]`);
  const sealed = sealBundle(read, Buffer.alloc(32, 1));
  expect(openBundle(sealed.slices, sealed)).toEqual(read);
});
