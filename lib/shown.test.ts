import { expect, test } from "vitest";
import { shown } from "./shown.ts";

test.each([
  ["one\n two\u001b[31m \u200bthree ", "one two [31m three"],
  [
    'Failed to pull image "https://bot:hunter2@registry.example/web:2"',
    'Failed to pull image "https://…@registry.example/web:2"',
  ],
  ["denied: PASSWORD=hunter2 is set", "denied: PASSWORD=… is set"],
  ["env DB_PASSWORD= hunter2", "env DB_PASSWORD= …"],
  ['quoted {"apiToken": "hunter2", "name": "web"}', 'quoted {"apiToken": "…", "name": "web"}'],
  ["Authorization: Bearer hunter2.abc", "Authorization: Bearer …"],
  [`unexpected ${"aB3/".repeat(12)} found`, "unexpected … found"],
  ['secret "db-credentials" not found', 'secret "db-credentials" not found'],
  [
    "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes",
    "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes",
  ],
])("%j is shown as %j", (text, line) => {
  expect(shown(text)).toBe(line);
});

test("what is long is cut, and says so", () => {
  const line = shown("word ".repeat(100_000));
  expect([line.length <= 300, line.endsWith("word…")]).toEqual([true, true]);
});
