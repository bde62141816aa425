import { expect, test } from "vitest";
import { filesOf, problemsOf, written } from "./fleet-fixture.ts";
import { healthRulesOf } from "./health-rules.ts";
import { readFleet } from "./read.ts";

const rule = (name: string, current: string): string =>
  written("HealthRule", name, `spec: {apiVersion: example.com/v1, kind: ${name.toUpperCase()}, current: ${current}}\n`);
const signed = (name: string) => ({
  name,
  apiVersion: "example.com/v1",
  kind: name.toUpperCase(),
  current: "object.status.signed",
  inProgress: null,
  failed: null,
});
const rulesOf = (...documents: string[]) =>
  healthRulesOf(readFleet(filesOf({ "fleet/rules.yaml": documents.join("---\n") })).fleet);

test("documents carry the declared rules by name, and a deleted one goes", () => {
  const names = rulesOf(rule("b", "object.status.b"), rule("a", "object.status.a"))([signed("z")]);
  expect(names.map(({ name, current }) => [name, current])).toEqual([
    ["a", "object.status.a"],
    ["b", "object.status.b"],
  ]);
});

test("a rule that cannot be read now stays as it was signed, also for a hub that never saw it whole", () => {
  expect(rulesOf(rule("a", "object.status =="))([signed("a"), signed("gone")])).toEqual([signed("a")]);
  // A file that cannot be read at all may have held any of them.
  expect(rulesOf("{{{")([signed("a"), signed("b")])).toEqual([signed("a"), signed("b")]);
});

test("rules that no document could carry are a problem of the last of them", () => {
  const long = `'object.status.a == "${"x".repeat(9_000)}"'`;
  const names = Array.from({ length: 15 }, (_, n) => `r${String.fromCharCode(97 + n)}`);
  const texts = Object.fromEntries(names.map((name) => [`fleet/${name}.yaml`, rule(name, long)]));
  expect(problemsOf(texts)).toEqual([
    "fleet/ro.yaml:4: spec makes the HealthRules larger than 128 KiB together: write shorter ones",
  ]);
});
