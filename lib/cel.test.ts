import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compileCel, type CelAnswer } from "./cel.ts";

const object = {
  metadata: { generation: 2, labels: { constructor: "x", ["__proto__"]: "y" } },
  spec: { replicas: 2, ratio: 0.5, huge: 2n ** 60n },
  status: {
    replicas: 1,
    phase: "Running",
    conditions: [
      { type: "Ready", status: "True", reason: "Done" },
      { type: "Old", status: "True", observedGeneration: 1 },
    ],
    parts: [{ name: "a", conditions: [{ type: "Ready", status: "False" }] }],
  },
};

function evaluate(text: string, over: object = object): CelAnswer {
  const compiled = compileCel(text);
  if (!compiled.ok) throw new Error(`${text}: ${compiled.problem}`);
  return compiled.evaluate(over as Record<string, unknown>);
}

test.each([
  ["object.status.replicas + 1 == object.spec.replicas", true],
  ["object.status.replicas < 1", false],
  ["object.spec.ratio == 0.5 && object.spec.huge > 1152921504606846975", true],
  ["object.status.conditions.exists(c, c.type == 'Ready' && c.status == 'True')", true],
  ["condition(object, 'Ready') == 'True' && reason(object, 'Ready') == 'Done'", true],
  ["condition(object, 'Old') == '' && condition(object, 'None') == ''", true],
  ["object.status.parts.exists(p, condition(p, 'Ready') == 'False')", true],
  ["object.?status.?none.orValue(0) == 0 && !has(object.status.none)", true],
  ["object.metadata.labels['constructor'] == 'x' && object.metadata.labels['__proto__'] == 'y'", true],
  ["object.status.phase in ['Running', 'Done']", true],
  ["size(object.status.parts.map(p, p.name).filter(n, n == 'a')) == 1", true],
])("%s is %s", (text, holds) => {
  expect(evaluate(text)).toEqual({ ok: true, holds });
});

test.each([
  ["object.status.none == 1", "No such key: none"],
  ["object.status.phase", "gave neither true nor false"],
  ["object.status.phase > 1", "no such overload"],
  ["object.status.phase.startsWith(1) || object.metadata.none", ""],
])("%s is a problem when it is evaluated", (text, part) => {
  const answer = evaluate(text);
  expect(answer).toMatchObject({ ok: false, problem: expect.stringContaining(part) as string });
});

describe("refuses", () => {
  test.each([
    ["object.status.", "at character 15"],
    ["", ""],
    ["status.ready", "Unknown variable: status"],
    ["1 + 1", "gives int, and must give true or false"],
    ["object.status.phase.matches('(a+)+b')", "matches() is not available"],
    ["cel.bind(a, object.x, a == a)", "bind() is not available"],
    ["'a,b'.split(',').size() == 2", "split() is not available"],
    ["[1].map(a, [a] + [a]).size() == 2", "+ is not available"],
    ["([1] + [2]).exists(a, a == 2)", "+ is not available"],
    ["[1].all(a, [1].all(b, [1].all(c, [1].all(d, true))))", "nest deeper than 3"],
    [`object.a == ${"(".repeat(100)}1${")".repeat(100)}`, ""],
    [Array.from({ length: 500 }, () => "object.a").join(" || "), ""],
    ["object.nosuch()", ""],
  ])("%s", (text, part) => {
    expect(compileCel(text)).toMatchObject({ ok: false, problem: expect.stringContaining(part) as string });
  });
});

test("says of a long list that it is not gone through, and goes through it where that is short", () => {
  const items = Array.from({ length: 2_000 }, (_, index) => ({ index }));
  const nested = "object.items.all(a, object.items.all(b, object.items.all(c, a == b || b == c)))";
  expect(evaluate(nested, { items })).toEqual({
    ok: false,
    problem: "is not evaluated: it may take too long over a list of 2000",
  });
  expect(evaluate("object.items.all(a, a.index < 2000)", { items })).toEqual({ ok: true, holds: true });
});

test("any text and any object give an answer, and never an exception", () => {
  const words = [
    "object",
    ".status",
    ".?x",
    "[0]",
    "==",
    "&&",
    "!",
    "(",
    ")",
    "'a'",
    "1",
    ".exists(c, c",
    "has(",
    "+",
    "in",
    "?",
    ":",
  ];
  const expression = fc.array(fc.constantFrom(...words), { maxLength: 12 }).map((parts) => parts.join(" "));
  fc.assert(
    fc.property(fc.oneof(expression, fc.string()), fc.dictionary(fc.string(), fc.jsonValue()), (text, over) => {
      const compiled = compileCel(text);
      if (compiled.ok) expect(typeof compiled.evaluate({ ...object, ...over }).ok).toBe("boolean");
      else expect(compiled.problem).not.toBe("");
    }),
    { numRuns: 300 },
  );
});
